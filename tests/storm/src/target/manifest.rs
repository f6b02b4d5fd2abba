//! The manifest of the made-up kind: that of a target like PostgreSQL.

use driver::Manifest;
use driver::manifest::{
    CredentialForm, Expiry, ExpiryClass, Field, FieldFormat, MarkClass, PermissionType, ResourceType,
    RightNeeded, SecretKey, Setup, Survival,
};
use driver::naming::{NameCase, NameLimits};
use model::Ownership;

use super::{KIND, SECRET_KEY};

/// The kind of resource that a target has.
pub const THING: &str = "made-up-thing";
/// What can be had on it.
pub const READ_ONLY: &str = "READ_ONLY";

const fn field(key: &'static str, help: &'static str, format: FieldFormat) -> Field {
    Field { key, label: key, help, default: None, required: false, format }
}

const MOMENT: FieldFormat = FieldFormat::Whole { least: 0, most: 9_007_199_254_740_991 };

pub(super) static MANIFEST: Manifest = Manifest {
    kind: KIND,
    product: "Made-up target",
    also_serves: &[],
    summary: "A target in a folder, for the storm.",
    fields: &[
        Field { required: true, ..field("hostname", "what the secret is bound to", FieldFormat::Host) },
        Field { default: Some("7"), ..field("port", "any port; it is only bound to", FieldFormat::Port) },
        Field {
            required: true,
            ..field("folder", "where the target keeps its accounts", FieldFormat::Text { max_bytes: 4096 })
        },
        Field {
            default: Some("none"),
            ..field(
                "trouble",
                "what befalls it",
                FieldFormat::Choice { allowed: &["none", "slow", "down", "silent"] },
            )
        },
        Field { default: Some("0"), ..field("trouble_from", "since when, in ms since 1970", MOMENT) },
        Field { default: Some("0"), ..field("trouble_until", "until when, in ms since 1970", MOMENT) },
    ],
    secret_keys: &[SecretKey {
        key: SECRET_KEY,
        label: "Password",
        help: "the admin's password; any will do",
        required: true,
    }],
    resources: &[ResourceType {
        kind: THING,
        label: "Thing",
        path: &["thing"],
        permissions: &[PermissionType {
            name: READ_ONLY,
            sentence: "Reads the thing.",
            manages_accounts: false,
        }],
    }],
    ownership: Ownership::Owned,
    mark: MarkClass::Full,
    login_expiry: Expiry { class: ExpiryClass::Exact, note: "Covers every login." },
    session_expiry: Expiry { class: ExpiryClass::None, note: "There are no sessions." },
    rights_survive_in_sessions: Survival::Never,
    credential: CredentialForm::Verifier { kind: "SCRAM-SHA-256" },
    shutting_scrambles: false,
    residuals: &[],
    rights: &[RightNeeded {
        name: "admin",
        why: "makes and removes accounts",
        give: "give admin to tidegate",
        take: "take admin from tidegate",
        required: true,
    }],
    names: NameLimits { max_bytes: 63, case: NameCase::Lower },
    setup: Setup {
        language: "text",
        comment: "#",
        usage: &["Nothing has to be run: the target is a folder."],
        begin: &[],
        before_removal: &[],
        make: &["make tidegate"],
        remove: &["remove tidegate"],
        modes: &[],
    },
};
