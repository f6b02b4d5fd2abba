//! Manifests, to the wire: nothing that a form or a page needs is left behind.

use driver::manifest::{
    CredentialForm, Expiry, ExpiryClass, Field, FieldFormat, Manifest, MarkClass, PermissionType,
    ResidualVector, ResourceType, RightNeeded, SecretKey, Setup, Survival,
};
use driver::naming::{NameCase, NameLimits};
use model::{Ownership, ResidualKind};
use proto::v1;
use proto::v1::field_format::{Choice, Duration, Flag, Format, Host, Pem, Port, Text, Whole};

use crate::link::convert::manifest;

const fn field(key: &'static str, format: FieldFormat) -> Field {
    Field { key, label: "Label", help: "Help", default: Some("default"), required: false, format }
}

const FIELDS: [Field; 8] = [
    field("text", FieldFormat::Text { max_bytes: 63 }),
    field("host", FieldFormat::Host),
    field("port", FieldFormat::Port),
    field("choice", FieldFormat::Choice { allowed: &["a", "b"] }),
    field("whole", FieldFormat::Whole { least: 1, most: u64::MAX }),
    field("flag", FieldFormat::Flag),
    field("duration", FieldFormat::Duration),
    Field { default: None, required: true, ..field("pem", FieldFormat::Pem) },
];

static MANIFEST: Manifest = Manifest {
    kind: "toy",
    product: "Toy",
    also_serves: &["Toy Plus"],
    summary: "One sentence.",
    fields: &FIELDS,
    secret_keys: &[SecretKey { key: "password", label: "Password", help: "Help", required: true }],
    resources: &[ResourceType {
        kind: "toy-box",
        label: "Box",
        path: &["room", "box"],
        permissions: &[PermissionType { name: "OWN", sentence: "May do all.", manages_accounts: true }],
    }],
    ownership: Ownership::Owned,
    mark: MarkClass::Recognisable,
    login_expiry: Expiry { class: ExpiryClass::Coarse { step_secs: 60 }, note: "By the minute." },
    session_expiry: Expiry { class: ExpiryClass::None, note: "Not." },
    rights_survive_in_sessions: Survival::Below { major: 16 },
    shutting_scrambles: false,
    credential: CredentialForm::Verifier { kind: "SCRAM-SHA-256" },
    residuals: &[ResidualVector {
        kind: ResidualKind::ScheduledJob,
        what: "Jobs",
        observed: true,
        remedy: "Remove them.",
    }],
    rights: &[RightNeeded { name: "make", why: "To make.", give: "give", take: "take", required: true }],
    names: NameLimits { max_bytes: 63, case: NameCase::Lower },
    setup: Setup {
        language: "sql",
        comment: "--",
        usage: &["Run it."],
        begin: &[],
        make: &["make admin;"],
        before_removal: &[],
        remove: &["drop admin;"],
        modes: &[],
    },
};

#[test]
fn a_manifest_is_sent_whole() {
    let wire = manifest(&MANIFEST);
    assert_eq!(
        (wire.kind.as_str(), wire.product.as_str(), wire.summary.as_str()),
        ("toy", "Toy", "One sentence.")
    );
    assert_eq!(wire.also_serves, ["Toy Plus"]);
    let secret = v1::SecretKey {
        key: "password".into(),
        label: "Password".into(),
        help: "Help".into(),
        required: true,
    };
    assert_eq!(wire.secret_keys, [secret]);
    let own =
        v1::PermissionType { name: "OWN".into(), sentence: "May do all.".into(), manages_accounts: true };
    let boxes = v1::ResourceType {
        kind: "toy-box".into(),
        label: "Box".into(),
        path: vec!["room".into(), "box".into()],
        permissions: vec![own],
    };
    assert_eq!(wire.resources, [boxes]);
    assert_eq!((wire.ownership(), wire.mark()), (v1::Ownership::Owned, v1::MarkClass::Recognisable));
    let by_the_minute =
        v1::Expiry { class: v1::ExpiryClass::Coarse.into(), seconds: 60, note: "By the minute.".into() };
    assert_eq!(wire.login_expiry, Some(by_the_minute));
    let never = v1::Expiry { class: v1::ExpiryClass::None.into(), seconds: 0, note: "Not.".into() };
    assert_eq!(wire.session_expiry, Some(never));
    let below = v1::Survival { class: v1::SurvivalClass::Below.into(), below_major: 16 };
    assert_eq!(wire.rights_survive_in_sessions, Some(below));
    assert_eq!(wire.verifier, "SCRAM-SHA-256");
    let jobs = v1::ResidualVector {
        kind: v1::ResidualKind::ScheduledJob.into(),
        what: "Jobs".into(),
        observed: true,
        remedy: "Remove them.".into(),
    };
    assert_eq!(wire.residuals, [jobs]);
    let make = v1::RightNeeded { name: "make".into(), why: "To make.".into(), required: true };
    assert_eq!(wire.rights, [make]);
    let setup = wire.setup.unwrap();
    assert_eq!(setup.language, "sql");
    assert_eq!((setup.prepare, setup.remove), (MANIFEST.setup_script(), MANIFEST.removal_script()));
}

#[test]
fn every_format_of_a_setting_is_sent() {
    let expected = [
        Format::Text(Text { max_bytes: 63 }),
        Format::Host(Host {}),
        Format::Port(Port {}),
        Format::Choice(Choice { allowed: vec!["a".into(), "b".into()] }),
        Format::Whole(Whole { least: 1, most: u64::MAX }),
        Format::Flag(Flag {}),
        Format::Duration(Duration {}),
        Format::Pem(Pem {}),
    ];
    let fields = manifest(&MANIFEST).fields;
    assert_eq!(fields.len(), expected.len());
    for (field, expected) in fields.into_iter().zip(expected) {
        assert_eq!(field.format.unwrap().format, Some(expected), "{}", field.key);
        assert_eq!((field.label.as_str(), field.help.as_str()), ("Label", "Help"), "{}", field.key);
        let needed = field.key == "pem";
        assert_eq!((field.required, field.default.is_none()), (needed, needed), "{}", field.key);
    }
}

#[test]
fn a_target_that_needs_the_clear_text_names_no_verifier() {
    let clear = Manifest { credential: CredentialForm::Clear, ..MANIFEST.clone() };
    assert_eq!(manifest(&clear).verifier, "");
}
