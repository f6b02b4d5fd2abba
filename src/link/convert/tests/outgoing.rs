//! Reports and what drivers find, to the wire.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver::sink::Resource;
use driver::{Grade, Probe};
use model::{
    AccessState, AccountId, AccountName, Code, EndReason, Failure, Generation, GranteeKey, KeyId, Permission,
    Phase, Residual, ResidualKind, ResourceId, Retry, Revision, SealedCredential, Span, Verdict,
};
use prost::Message as _;
use proto::{limits, v1};
use rules::{ConnectionLine, Report};
use seal::receipt::SignedReceipt;

use super::{PLACE, at, incarnation, inverse};
use crate::engine::reads::{End, News};
use crate::link::convert::{Fault, news, probes, report, resource};

fn account() -> AccountId {
    AccountId::from_uuid(uuid::Uuid::from_u128(5))
}

fn changed(state: AccessState, failure: Option<Failure>) -> Report {
    Report::AccessChanged {
        access: "acc_1".parse().unwrap(),
        integration: "prod-db".parse().unwrap(),
        account: account(),
        revision: Revision(3),
        state,
        until: Some(at(9)),
        failure,
        at: at(4),
    }
}

fn ending(reason: EndReason) -> Report {
    changed(AccessState::Ending { reason, contained: true, attempts: 17, since: at(2) }, None)
}

fn ended(verdict: Verdict, residual: Vec<Residual>) -> Report {
    changed(AccessState::Ended { verdict, residual, at: at(3) }, None)
}

fn residual(kind: ResidualKind) -> Residual {
    Residual { kind, detail: "backend 7".into(), ends_at: Some(at(9)) }
}

fn sealed() -> SealedCredential {
    SealedCredential {
        generation: Generation(2),
        access: "acc_0".parse().unwrap(),
        key: GranteeKey(STANDARD.encode([1; 32])),
        encapsulated: STANDARD.encode([2; 32]),
        ciphertext: STANDARD.encode([3; 48]),
    }
}

fn credential(sealed: SealedCredential, lines: Vec<ConnectionLine>) -> Report {
    Report::CredentialSealed {
        access: "acc_1".parse().unwrap(),
        integration: "prod-db".parse().unwrap(),
        account: account(),
        account_name: AccountName("tidegate_ann_0123456789".into()),
        sealed,
        lines,
        at: at(4),
    }
}

fn line(text: impl Into<String>) -> ConnectionLine {
    ConnectionLine { label: "psql".into(), text: text.into() }
}

fn receipt() -> SignedReceipt {
    SignedReceipt {
        integration: "prod-db".parse().unwrap(),
        number: 8,
        previous: "0a".repeat(32),
        body: "{\"at\":\"2026-01-01T00:00:00.000Z\", \"odd\":\"\\u0000 ä\"}".into(),
        key_id: KeyId("0123456789abcdef".into()),
        signature: STANDARD.encode([4; 64]),
    }
}

fn signed(receipt: &SignedReceipt) -> Report {
    Report::Receipt {
        integration: receipt.integration.clone(),
        number: receipt.number,
        signed: serde_json::to_string(receipt).unwrap(),
    }
}

fn account_changed(phase: Phase) -> Report {
    Report::AccountChanged {
        account: account(),
        integration: "prod-db".parse().unwrap(),
        grantee: "ann".parse().unwrap(),
        account_name: AccountName("tidegate_ann_0123456789".into()),
        phase,
        failure: None,
        at: at(4),
    }
}

fn order_refused(access: Option<&str>) -> Report {
    Report::OrderRefused {
        incarnation: incarnation(9),
        position: PLACE,
        access: access.map(|access| access.parse().unwrap()),
        code: Code::ORDER_MALFORMED,
        detail: "`until` is not set".into(),
        at: at(1),
    }
}

fn alarm(integration: Option<&str>, detail: String) -> Report {
    let integration = integration.map(|integration| integration.parse().unwrap());
    Report::Alarm { integration, code: Code::CLOCK_UNTRUSTED, detail, at: at(1) }
}

fn every_report() -> Vec<Report> {
    let granting = |retry| {
        let failure = Failure::refused(Code::BUSY, "lock on \"t\": wait").with_retry(retry);
        changed(AccessState::Granting { since: at(1) }, Some(failure))
    };
    let mut all = vec![
        changed(AccessState::Accepted { since: at(1) }, None),
        changed(AccessState::Active { since: at(1) }, Some(Failure::not_done(Code::BUSY, "d"))),
        changed(AccessState::Interrupted { since: at(1) }, Some(Failure::unknown(Code::TIMED_OUT, "d"))),
        changed(AccessState::Refused { code: Code::GUARDRAIL_REFUSED }, None),
        changed(AccessState::Failed { code: Code::other("driver_own") }, None),
        changed(AccessState::Canceled { at: at(1) }, None),
        credential(sealed(), vec![line("psql 'host=db'"), line("postgresql://db")]),
        signed(&receipt()),
        order_refused(None),
        order_refused(Some("acc_1")),
        Report::IntegrationRetired { integration: "prod-db".parse().unwrap(), at: at(1) },
        alarm(None, "31s".into()),
        alarm(Some("prod-db"), String::new()),
    ];
    let retries = [
        Retry::Never,
        Retry::Backoff,
        Retry::After(Span::from_millis(1_500)),
        Retry::AfterNewSecret,
        Retry::NeedsHuman,
    ];
    all.extend(retries.map(granting));
    all.extend([Verdict::Expired, Verdict::Revoked, Verdict::Deleted].map(|verdict| ended(verdict, vec![])));
    let kinds = [
        ResidualKind::Session,
        ResidualKind::PreparedTransaction,
        ResidualKind::OwnedObjects,
        ResidualKind::OnwardGrant,
        ResidualKind::ScheduledJob,
        ResidualKind::IssuedToken,
        ResidualKind::PublicRights,
        ResidualKind::UnreachableNode,
        ResidualKind::Other,
    ];
    all.push(ended(Verdict::Expired, kinds.map(residual).into()));
    let reasons = [
        EndReason::Deadline,
        EndReason::Revoked,
        EndReason::Absent,
        EndReason::AccountDeleted,
        EndReason::IntegrationRetired,
        EndReason::BreakGlass { note: "user 0: a stolen laptop".into() },
        EndReason::Guardrail,
        EndReason::NotOpened(Code::OPENING_GAVE_UP),
        EndReason::Unremembered,
    ];
    all.extend(reasons.map(ending));
    let phases =
        [Phase::Absent, Phase::Opening, Phase::Open, Phase::Closing, Phase::Suspended, Phase::Deleting];
    all.extend(phases.map(account_changed));
    all
}

fn sent(told: &Report) -> v1::Report {
    report(incarnation(1), PLACE, told)
}

#[test]
fn every_report_comes_through_whole() {
    for told in every_report() {
        let wire = v1::Report::decode(sent(&told).encode_to_vec().as_slice()).unwrap();
        assert_eq!(inverse::report(wire), Ok((incarnation(1), PLACE, told)));
    }
}

#[test]
fn what_the_reader_does_not_know_is_refused() {
    let unknown = |field| Err(Fault::UnknownKind { field });
    let mut phase = sent(&account_changed(Phase::Open));
    if let Some(v1::report::Report::AccountChanged(told)) = &mut phase.report {
        told.phase = 77;
    }
    assert_eq!(inverse::report(phase), unknown("phase"));
    let mut state = sent(&ending(EndReason::Deadline));
    if let Some(v1::report::Report::AccessChanged(told)) = &mut state.report {
        told.state = Some(v1::AccessState { state: None });
    }
    assert_eq!(inverse::report(state), unknown("access_state"));
    let kind = v1::Report { report: None, ..sent(&ending(EndReason::Deadline)) };
    assert_eq!(inverse::report(kind), unknown("report"));
}

#[test]
fn a_statement_is_sent_as_the_text_that_was_signed() {
    let Some(v1::report::Report::Receipt(wire)) = sent(&signed(&receipt())).report else {
        panic!("the receipt is not sent as one")
    };
    assert_eq!(wire.body, receipt().body);
    assert_eq!((wire.previous_hash, wire.signature), (vec![0x0a; 32], vec![4; 64]));
}

#[test]
fn a_report_that_cannot_be_sent_becomes_an_alarm_in_its_place() {
    let with = |change: fn(&mut SignedReceipt)| {
        let mut receipt = receipt();
        change(&mut receipt);
        signed(&receipt)
    };
    let unreadable = Report::Receipt {
        integration: "prod-db".parse().unwrap(),
        number: 8,
        signed: "not a receipt".into(),
    };
    let long = STANDARD.encode(vec![0; limits::CIPHERTEXT_BYTES + 1]);
    let table = [
        ("not a receipt", unreadable, "`receipt`"),
        ("short hash", with(|receipt| receipt.previous.truncate(62)), "`receipt.previous_hash`"),
        ("loud hash", with(|receipt| receipt.previous = "0A".repeat(32)), "`receipt.previous_hash`"),
        ("not base64", with(|receipt| receipt.signature.push('!')), "`receipt.signature`"),
        ("no signature", with(|receipt| receipt.signature.clear()), "`receipt.signature`"),
        ("long", with(|receipt| receipt.body = "x".repeat(limits::RECEIPT_BYTES + 1)), "`receipt.body`"),
        (
            "odd key",
            credential(SealedCredential { key: GranteeKey("AQE=".into()), ..sealed() }, vec![]),
            "`credential_sealed.public_key`",
        ),
        (
            "long ciphertext",
            credential(SealedCredential { ciphertext: long, ..sealed() }, vec![]),
            "`credential_sealed.ciphertext`",
        ),
    ];
    for (name, told, field) in table {
        let wire = sent(&told);
        assert_eq!(wire.position, PLACE.0, "{name}");
        let Some(v1::report::Report::Alarm(alarm)) = wire.report else { panic!("{name}: no alarm") };
        assert_eq!(alarm.integration_id, "prod-db", "{name}");
        assert_eq!(alarm.code, Code::REPORT_UNSENDABLE.as_str(), "{name}");
        assert!(alarm.detail.contains(field), "{name}: {}", alarm.detail);
    }
}

#[test]
fn prose_is_cut_and_says_so() {
    let Some(v1::report::Report::Alarm(alarm)) = sent(&alarm(None, "ä".repeat(limits::TEXT_BYTES))).report
    else {
        panic!("no alarm")
    };
    assert!(alarm.detail.len() <= limits::TEXT_BYTES);
    assert!(alarm.detail.len() > limits::TEXT_BYTES - 8);
    assert!(alarm.detail.ends_with("ä…"));
}

#[test]
fn a_list_of_residuals_that_is_cut_says_so() {
    let many = vec![residual(ResidualKind::Session); limits::RESIDUALS + 10];
    let Ok((_, _, Report::AccessChanged { state: AccessState::Ended { residual, .. }, .. })) =
        inverse::report(sent(&ended(Verdict::Revoked, many)))
    else {
        panic!("not an ended access")
    };
    assert_eq!(residual.len(), limits::RESIDUALS);
    let last = residual.last().unwrap();
    assert_eq!(last.kind, ResidualKind::Other);
    assert!(last.detail.starts_with("11 more"), "{}", last.detail);
}

#[test]
fn a_connection_line_is_whole_or_not_there() {
    let told = credential(sealed(), vec![line("x".repeat(limits::TEXT_BYTES + 1)), line("psql")]);
    let Some(v1::report::Report::CredentialSealed(wire)) = sent(&told).report else {
        panic!("no credential")
    };
    let texts: Vec<_> = wire.connection_lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["psql"]);
}

#[test]
fn a_check_that_is_too_long_keeps_what_is_bad() {
    let probe = |n: usize| Probe {
        name: format!("probe {n}"),
        grade: if n == limits::PROBES + 4 { Grade::Bad } else { Grade::Good },
        detail: String::new(),
    };
    let all: Vec<_> = (0..limits::PROBES + 5).map(probe).collect();
    let wire = probes(&all);
    assert_eq!(wire.len(), limits::PROBES);
    assert!(wire.iter().any(|probe| probe.grade() == v1::Grade::Bad));
    let names: Vec<_> = probes(&all[..3]).into_iter().map(|probe| probe.name).collect();
    assert_eq!(names, ["probe 0", "probe 1", "probe 2"]);
}

#[test]
fn a_resource_that_nobody_could_ask_for_is_not_offered() {
    let with = |path: Vec<String>| Resource {
        id: ResourceId::new("postgresql-table", path),
        permissions: vec![Permission("READ_ONLY".into())],
        tags: BTreeMap::from([("owner".into(), "x".repeat(1000))]),
    };
    let field = "resource.id.path";
    let table = [
        (
            "long name",
            with(vec!["x".repeat(257)]),
            Fault::TooLong { field, found: 257, most: limits::NAME_BYTES },
        ),
        (
            "deep path",
            with(vec!["x".into(); 17]),
            Fault::TooMany { field, found: 17, most: limits::PATH_PARTS },
        ),
        ("empty name", with(vec![String::new()]), Fault::Missing { field }),
    ];
    for (name, found, expected) in table {
        assert_eq!(resource(&found), Err(expected), "{name}");
    }
    let wire = resource(&with(vec!["db".into(), "a/\"b".into()])).unwrap();
    assert_eq!(wire.id.unwrap().path, ["db", "a/\"b"]);
    assert_eq!(wire.permissions, ["READ_ONLY"]);
    assert_eq!(wire.tags["owner"].len(), limits::NAME_BYTES);
}

#[test]
fn a_page_says_that_the_list_is_whole_only_where_it_is() {
    let broken = Failure::refused(Code::BUDGET_EXCEEDED, "too many");
    let table = [
        ("more come", None, (false, None)),
        ("the last", Some(End::Complete { unlisted: vec![], count: 0 }), (true, None)),
        ("broken off", Some(End::Broken(broken)), (false, Some("budget_exceeded"))),
    ];
    for (name, end, expected) in table {
        let page = News::Resources {
            integration: "shop".parse().unwrap(),
            snapshot: uuid::Uuid::nil(),
            page: 2,
            resources: vec![],
            end,
            place: None,
        };
        let v1::report::Report::ResourcePage(told) = news(page, at(1)) else { panic!("{name}") };
        let failure = told.failure.as_ref().map(|failure| failure.code.as_str());
        assert_eq!((told.complete, failure), expected, "{name}");
    }
}
