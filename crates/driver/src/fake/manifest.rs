//! The manifests of the made-up kind, one for each nature.

use model::{Ownership, ResidualKind};

use super::Nature;
use crate::manifest::{
    CredentialForm, Expiry, ExpiryClass, Field, FieldFormat, Manifest, MarkClass, PermissionType,
    ResidualVector, ResourceType, RightNeeded, SecretKey, Setup, Survival,
};
use crate::naming::{NameCase, NameLimits};

/// The kind of resource that a made-up system has.
pub const THING: &str = "fake-thing";
pub const READ_ONLY: &str = "READ_ONLY";
pub const READ_WRITE: &str = "READ_WRITE";

const TRANSACTIONAL: Manifest = Manifest {
    kind: "fake",
    product: "Made-up system",
    also_serves: &[],
    summary: "A target in memory, for tests.",
    fields: &[
        Field {
            key: "hostname",
            label: "Host",
            help: "the name under which the system was hosted",
            default: None,
            required: true,
            format: FieldFormat::Host,
        },
        Field {
            key: "port",
            label: "Port",
            help: "any port; it is only bound to",
            default: Some("7"),
            required: false,
            format: FieldFormat::Port,
        },
    ],
    secret_keys: &[SecretKey {
        key: "password",
        label: "Password",
        help: "the admin password of the system",
        required: true,
    }],
    resources: &[ResourceType {
        kind: THING,
        label: "Thing",
        path: &["shelf", "thing"],
        permissions: &[
            PermissionType { name: READ_ONLY, sentence: "Reads the thing.", manages_accounts: false },
            PermissionType {
                name: READ_WRITE,
                sentence: "Reads and writes the thing.",
                manages_accounts: false,
            },
        ],
    }],
    ownership: Ownership::Owned,
    mark: MarkClass::Full,
    login_expiry: Expiry { class: ExpiryClass::Exact, note: "Covers every login." },
    session_expiry: Expiry { class: ExpiryClass::None, note: "Sessions go on until they are ended." },
    rights_survive_in_sessions: Survival::Never,
    credential: CredentialForm::Verifier { kind: "SCRAM-SHA-256" },
    shutting_scrambles: true,
    residuals: &[ResidualVector {
        kind: ResidualKind::OwnedObjects,
        what: "Objects that the account owns.",
        observed: true,
        remedy: "Delete the account with an heir.",
    }],
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
        usage: &["Nothing has to be run: the system is in memory."],
        begin: &[],
        make: &["make tidegate"],
        before_removal: &[],
        remove: &["remove tidegate"],
        modes: &[],
    },
};

static OF_TRANSACTIONS: Manifest = TRANSACTIONAL;

static OF_STEPS: Manifest = Manifest {
    rights_survive_in_sessions: Survival::Always,
    credential: CredentialForm::Clear,
    shutting_scrambles: false,
    ..TRANSACTIONAL
};

/// Returns the manifest of a nature.
pub(super) const fn of(nature: Nature) -> &'static Manifest {
    match nature {
        Nature::Transactions => &OF_TRANSACTIONS,
        Nature::Steps => &OF_STEPS,
    }
}
