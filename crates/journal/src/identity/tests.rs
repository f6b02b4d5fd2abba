//! The identity on a real disk: who may read it, what is believed, what a crash leaves.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use model::mark::{Mark, MarkDraft, MarkState};
use model::{
    DriverKind, GranteeId, GranteeKey, ImmutableId, Lifecycle, Policy, Revision, SecretReference,
    TargetIdentity, Timestamp,
};
use tempfile::TempDir;

use super::*;

mod access;
mod belief;
mod change;
mod lines;
mod processes;
mod torn;

const NOW: Timestamp = Timestamp::from_secs(1_000);
const LATER: Timestamp = Timestamp::from_secs(2_000);
const ALL_FILES: [&str; 4] = ["identity.json", "integrations.json", "pins.json", "pins.log"];

/// A new identity in a directory that goes with the test.
struct Home {
    store: IdentityStore,
    place: TempDir,
}

impl Home {
    fn new() -> Self {
        Self::of("eu-west")
    }

    fn of(connector: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let connector = ConnectorId::parse(connector).unwrap();
        let store = IdentityStore::create(&place.path().join("identity"), connector).unwrap();
        Self { store, place }
    }

    /// Opens the directory again, as another process does: what this store knows is not shared.
    fn again(&self) -> IdentityStore {
        IdentityStore::open(self.store.dir()).unwrap()
    }

    fn pin(&self, id: &str) -> Meeting {
        self.store.pin(&grantee(id), &key(1), NOW).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.dir().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(self.path(name), 0o600);
    }

    fn chmod(&self, path: PathBuf, mode: u32) -> PathBuf {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn grantee(id: &str) -> GranteeId {
    GranteeId::parse(id).unwrap()
}

fn key(n: u8) -> GranteeKey {
    SealingKey::from_bytes(&[n; 32]).unwrap().public().to_grantee_key()
}

/// Returns who is pinned, as the files say.
fn names(store: &IdentityStore) -> Vec<String> {
    store.pins().unwrap().grantees().map(|(grantee, _)| grantee.as_str().into()).collect()
}

fn integrations() -> BTreeMap<IntegrationId, Integration> {
    ["orders-db", "stock-db"]
        .into_iter()
        .map(|id| {
            let id = IntegrationId::parse(id).unwrap();
            let integration = Integration {
                id: id.clone(),
                revision: Revision(3),
                kind: DriverKind("postgresql".into()),
                settings: BTreeMap::from([("host".into(), "db.é.example".into())]),
                secret: SecretReference("file://pg/admin.json".into()),
                policy: Policy::default(),
                lifecycle: Lifecycle::Live,
            };
            (id, integration)
        })
        .collect()
}

fn mark() -> Mark {
    MarkDraft {
        connector: ConnectorId::parse("eu-west").unwrap(),
        integration: IntegrationId::parse("orders-db").unwrap(),
        account: "018f5a2e-7b1c-7d3e-9f40-0123456789ab".parse().unwrap(),
        revision: Revision(1),
        deadlines: vec![],
        until: None,
        last_revoked: None,
    }
    .complete(TargetIdentity("system".into()), ImmutableId("16431".into()))
}

fn read(identity: &Identity, text: &str) -> MarkState {
    identity.marks.read(text, &mark().target, &mark().immutable)
}

fn valid() -> MarkState {
    MarkState::Valid(Box::new(mark()))
}
