//! Reports: committed once, in order, believed only from whom they concern.

use control::changes::reports::Committed;
use control::changes::{Who, connectors, glances, integrations, reports, requests, sessions};
use control::office::Office;
use control::record::{Resource, Unlisted};
use control::rules::hello::Hello;
use control::rules::report::{Glance, NumberedReport, Report, ResourcePage};
use control::rules::request::Request;
use control::rules::terms::{Approval, ApprovalMode};
use control::store::rows::ResourceQuery;
use model::{
    AccessId, AccessState, AccountId, AccountName, Code, ConnectorId, Failure, Generation, GranteeKey,
    Incarnation, Permission, Position, ResourceId, SealedCredential, Span,
};
use seal::keys::SealingKey;
use uuid::Uuid;

use super::{alarms, deed, orders, request};
use crate::world::{Cast, Folder, START, StandingClock, ask, furnish, hello, office, wish};

const AUTO: Approval = Approval { mode: ApprovalMode::Auto, self_approval: false };

pub(super) fn journal() -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u128(77))
}

pub(super) fn report(request: &Request, state: AccessState) -> Report {
    Report::AccessChanged {
        access: request.id.clone(),
        integration: request.integration.clone(),
        account: AccountId::from_uuid(Uuid::from_u128(7)),
        revision: request.revision,
        state,
        until: None,
        failure: None,
    }
}

fn numbered(first: u64, reports: Vec<Report>) -> Vec<NumberedReport> {
    let numbered = |(position, report)| NumberedReport { position: Position(position), at: START, report };
    (first..).zip(reports).map(numbered).collect()
}

async fn commit(office: &Office, connector: &ConnectorId, reports: Vec<NumberedReport>) -> Committed {
    let id = connector.clone();
    deed(office, &Who::agent(id.clone(), None), |deed| {
        Box::pin(async move { reports::commit(deed, &id, journal(), reports).await })
    })
    .await
    .unwrap()
}

/// Commits reports from a place on; all must be taken.
pub(super) async fn tell(office: &Office, connector: &ConnectorId, first: u64, reports: Vec<Report>) {
    let last = first + u64::try_from(reports.len()).unwrap() - 1;
    let committed = commit(office, connector, numbered(first, reports)).await;
    assert_eq!(committed, Committed { through: Position(last), gap: None });
}

pub(super) struct Scene {
    pub(super) _folder: Folder,
    pub(super) office: Office,
    pub(super) cast: Cast,
    pub(super) open: Request,
}

pub(super) async fn scene() -> Scene {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let office = office(&folder, &clock).await;
    let cast = furnish(&office, AUTO).await;
    let open = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move { requests::create(deed, "shop", ask(Span::from_mins(5))).await })
    })
    .await
    .unwrap();
    Scene { _folder: folder, office, cast, open }
}

fn active() -> AccessState {
    AccessState::Active { since: START }
}

#[tokio::test]
async fn what_came_before_is_dropped_and_a_gap_is_refused() {
    let Scene { office, cast, open, _folder } = scene().await;
    let granting = AccessState::Granting { since: START };
    let two = vec![report(&open, granting.clone()), report(&open, active())];
    tell(&office, &cast.connector, 1, two.clone()).await;
    let changes = request(&office, &open.id).await.changes;
    let again = commit(&office, &cast.connector, numbered(1, two)).await;
    assert_eq!(again, Committed { through: Position(2), gap: None });
    assert_eq!(request(&office, &open.id).await.changes, changes, "a report counted twice");
    let beyond = commit(&office, &cast.connector, numbered(4, vec![report(&open, granting)])).await;
    assert_eq!(beyond, Committed { through: Position(2), gap: Some(Position(3)) });
    assert_eq!(request(&office, &open.id).await.word(), "active", "a report beyond a gap was believed");
    let half = commit(
        &office,
        &cast.connector,
        [numbered(3, vec![Report::Unread { why: "new".into() }]), numbered(5, vec![report(&open, active())])]
            .concat(),
    )
    .await;
    assert_eq!(half, Committed { through: Position(3), gap: Some(Position(4)) }, "what fits was not kept");
    assert_eq!(alarms(&office).await, ["alarm.report_unread"]);
}

#[tokio::test]
async fn an_agent_is_believed_only_about_its_own() {
    let Scene { office, cast, open, _folder } = scene().await;
    let (south, _) = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { connectors::create(deed, "south", None).await })
    })
    .await
    .unwrap();
    let integration = open.integration.clone();
    let retired = Report::IntegrationRetired { integration: integration.clone() };
    tell(&office, &south.id, 1, vec![report(&open, active()), retired]).await;
    assert_eq!(request(&office, &open.id).await.word(), "accepted", "another agent's word was believed");
    let page = ResourcePage {
        integration: integration.clone(),
        snapshot: "s".into(),
        page: 1,
        resources: vec![],
        complete: true,
        unlisted: Unlisted::default(),
        failure: None,
    };
    let id = south.id.clone();
    deed(&office, &Who::agent(south.id, None), |deed| {
        Box::pin(async move { glances::take(deed, &id, Glance::Resources(page)).await })
    })
    .await
    .unwrap();
    let mut rows = office.read().await.unwrap();
    assert!(rows.snapshot(&integration).await.unwrap().is_none(), "another agent's resources were believed");
    assert!(rows.offer(&integration).await.unwrap().unwrap().retired_at.is_none());
    assert_eq!(alarms(&office).await, ["alarm.foreign_report"; 3]);
}

#[tokio::test]
async fn an_access_that_nobody_knows_is_kept_aside_and_can_be_ended() {
    let Scene { office, cast, open, _folder } = scene().await;
    let unknown = Request { id: AccessId::parse("acc-lost").unwrap(), ..open };
    tell(&office, &cast.connector, 1, vec![report(&unknown, active())]).await;
    assert_eq!(alarms(&office).await, ["alarm.unknown_access"]);
    let strays = office.read().await.unwrap().strays(&cast.connector).await.unwrap();
    assert_eq!(strays.first().map(|stray| stray.access.as_str()), Some("acc-lost"));
    deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { connectors::end_stray(deed, "north", "acc-lost").await })
    })
    .await
    .unwrap();
    let last = orders(&office, &cast.connector).await.pop();
    assert_eq!(last, Some(control::rules::order::Order::EndAccess { access: unknown.id }));
}

fn sealed(request: &Request, key: &SealingKey, generation: u32) -> Report {
    Report::CredentialSealed {
        access: request.id.clone(),
        integration: request.integration.clone(),
        account: AccountId::from_uuid(Uuid::from_u128(7)),
        account_name: AccountName("tg_ann_1f".into()),
        sealed: SealedCredential {
            generation: Generation(generation),
            access: request.id.clone(),
            key: GranteeKey(key.public().to_base64()),
            encapsulated: "AAAA".into(),
            ciphertext: "AAAA".into(),
        },
        lines: vec![("psql".into(), "psql -h db".into())],
    }
}

#[tokio::test]
async fn a_credential_is_kept_while_the_access_lives_and_only_for_a_key_that_was_the_grantees() {
    let Scene { office, cast, open, _folder } = scene().await;
    tell(&office, &cast.connector, 1, vec![sealed(&open, &cast.ann.key, 1)]).await;
    let kept = |office: &Office| {
        let (office, id) = (office.clone(), open.id.clone());
        async move {
            office.read().await.unwrap().credential(&id).await.unwrap().map(|found| found.sealed.generation)
        }
    };
    assert_eq!(kept(&office).await, Some(Generation(1)));
    let stranger = SealingKey::generate().unwrap();
    tell(&office, &cast.connector, 2, vec![sealed(&open, &stranger, 2)]).await;
    assert_eq!(kept(&office).await, Some(Generation(1)), "a credential for a stranger's key was delivered");
    assert_eq!(alarms(&office).await, ["alarm.credential_foreign_key"]);
    let failed = AccessState::Failed { code: Code::TIMED_OUT };
    tell(&office, &cast.connector, 3, vec![report(&open, failed), sealed(&open, &cast.ann.key, 3)]).await;
    assert_eq!(kept(&office).await, None, "a credential outlived its access");
}

#[tokio::test]
async fn an_order_that_the_agent_refuses_fails_the_request() {
    let Scene { office, cast, open, _folder } = scene().await;
    let mut rows = office.read().await.unwrap();
    let log = rows.log(&cast.connector).await.unwrap().unwrap();
    drop(rows);
    let refused = Report::OrderRefused {
        incarnation: log.incarnation,
        position: log.last,
        access: Some(open.id.clone()),
        code: Code::GUARDRAIL_REFUSED,
        detail: "policy `no-prod`".into(),
    };
    tell(&office, &cast.connector, 1, vec![refused]).await;
    let found = request(&office, &open.id).await;
    assert_eq!(found.word(), "refused");
    let failure: Failure = found.told.unwrap().failure.unwrap();
    assert_eq!((failure.code, failure.detail.as_str()), (Code::GUARDRAIL_REFUSED, "policy `no-prod`"));
}

#[tokio::test]
async fn a_snapshot_is_seen_when_its_last_page_has_come() {
    let Scene { office, cast, open, _folder } = scene().await;
    let page = |page, name: &str, complete, failure| {
        Glance::Resources(ResourcePage {
            integration: open.integration.clone(),
            snapshot: "s1".into(),
            page,
            resources: vec![Resource {
                id: ResourceId::new("postgresql-table", ["shop", name]),
                permissions: vec![Permission("READ_ONLY".into())],
                tags: Default::default(),
            }],
            complete,
            unlisted: Unlisted::default(),
            failure,
        })
    };
    let take = |glance| {
        let (office, id) = (office.clone(), cast.connector.clone());
        async move {
            deed(&office, &Who::agent(id.clone(), None), |deed| {
                Box::pin(async move { glances::take(deed, &id, glance).await })
            })
            .await
            .unwrap();
        }
    };
    let count = || {
        let office = office.clone();
        async move {
            let query = ResourceQuery { limit: 100, ..ResourceQuery::default() };
            office.read().await.unwrap().resources(&query).await.unwrap().len()
        }
    };
    take(page(1, "a", false, None)).await;
    assert_eq!(count().await, 0, "half a snapshot is seen");
    take(page(2, "b", true, None)).await;
    assert_eq!(count().await, 2);
    take(page(1, "c", false, Some(Failure::refused(Code::BUDGET_EXCEEDED, "too many")))).await;
    assert_eq!(count().await, 2, "a failed discovery took the one before with it");
    deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { integrations::retire(deed, "shop", integrations::Provided::Always).await })
    })
    .await
    .unwrap();
    assert_eq!(count().await, 0, "what is being retired can be asked for");
    take(page(1, "late", true, None)).await;
    assert_eq!(count().await, 0, "a page that was on its way is taken");
}

#[tokio::test]
async fn drivers_are_those_of_the_last_hello() {
    let Scene { office, cast, open: _, _folder } = scene().await;
    let bare = Hello { drivers: vec![], ..hello(&cast.connector) };
    deed(&office, &Who::agent(cast.connector.clone(), None), |deed| {
        Box::pin(async move { sessions::greet(deed, bare).await })
    })
    .await
    .unwrap();
    let refused = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move { requests::create(deed, "shop", ask(Span::from_secs(5))).await })
    });
    assert_eq!(refused.await.map_err(|refusal| refusal.code()).unwrap_err(), "connector_not_seen");
    let other = wish(&cast.connector, AUTO);
    let refused = deed(&office, &cast.admin.who, |deed| {
        Box::pin(
            async move { integrations::apply(deed, "other", other, integrations::Provided::Always).await },
        )
    });
    assert_eq!(refused.await.map_err(|refusal| refusal.code()).unwrap_err(), "invalid");
}
