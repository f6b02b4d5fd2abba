//! The made-up targets of a storm, and their driver: linked into `storm-agent` alone, never into `tidegate`.
//!
//! A target is a folder of files ([`shelf`]), so that it outlives the agent as a real one does, and takes none of the
//! memory that is measured. What a verb does is what it does on a real target (marks are written and recognised, verifiers
//! computed, what was done is read back), without a network. In a window of time a target may be in trouble ([`trouble`]).
//!
//! Promises: acts only on accounts of ours, asks the licence before each change, and says *unknown* when it is not sure.
//! Leaves to others: sessions, excess rights, faults of statements, hostile names: those are for `driver::fake`.

mod live;
mod manifest;
pub mod shelf;
pub mod trouble;

use std::path::PathBuf;

use async_trait::async_trait;
use driver::credential::{ITERATIONS, ScramSha256};
use driver::{ConfigFault, Connect, Driver, Manifest, Settings, Target, TargetContext, TargetSecret};
use model::{Code, Failure, Secret, TargetIdentity, Verifier};
use secrets::binding::{Authorities, Endpoint, TlsFloor};

pub use manifest::{READ_ONLY, THING};

use live::Live;
use shelf::Shelf;
use trouble::{Kind, Trouble};

/// The kind of these targets, as integrations name it.
pub const KIND: &str = "made-up";
/// The key of an admin secret.
pub const SECRET_KEY: &str = "password";

/// The driver.
#[derive(Clone, Copy, Debug)]
pub struct MadeUp;

impl Driver for MadeUp {
    fn manifest(&self) -> &'static Manifest {
        &manifest::MANIFEST
    }

    fn parse(&self, settings: &Settings) -> Result<Box<dyn Connect>, Vec<ConfigFault>> {
        let mut read = settings.reader(self.manifest());
        let host = read.host("hostname").to_string();
        let port = read.port("port");
        let folder = PathBuf::from(read.required_text("folder"));
        let kind = read.choice("trouble", Kind::None, &Kind::WORDS);
        let mut moment = |key: &str| i64::try_from(read.whole(key).unwrap_or_default()).unwrap_or(i64::MAX);
        let (from, until) = (moment("trouble_from"), moment("trouble_until"));
        read.finish()?;
        Ok(Box::new(Place { host, port, folder, trouble: Trouble { kind, from, until } }))
    }

    fn verifier(&self, clear: &Secret) -> Result<Option<Verifier>, Failure> {
        Ok(Some(ScramSha256::of(clear, ITERATIONS)?.in_postgres_form()))
    }
}

/// Checked settings.
struct Place {
    host: String,
    port: u16,
    folder: PathBuf,
    trouble: Trouble,
}

#[async_trait]
impl Connect for Place {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            kind: KIND.into(),
            host: self.host.clone(),
            port: self.port,
            tls_floor: TlsFloor::VerifiedName,
            authorities: Some(Authorities::System),
        }
    }

    async fn connect(
        &self,
        secret: &TargetSecret,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure> {
        secret.value(SECRET_KEY)?;
        self.trouble.pass().await?;
        let shelf = Shelf::open(&self.folder)
            .map_err(|fault| Failure::not_done(Code::UNREACHABLE, fault.to_string()))?;
        let identity = TargetIdentity(format!("made-up {}", self.host));
        Ok(Box::new(Live::new(identity, shelf, self.trouble, context)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_nothing_that_contradicts_itself() {
        assert_eq!(MadeUp.manifest().contradictions(), Vec::<String>::new());
        assert_eq!(MadeUp.manifest().kind, KIND);
    }
}
