//! Asks whether a secret may be sent to a place, and pins its reference there at the first use.
//!
//! What is decided about a pin is on disk before anything follows from it. A first use pins on trial; whoever else
//! wants to send the secret there ends that trial before, in this process or another one. So a first use that has
//! sent nothing takes back only a pin on which nobody else relied.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use journal::identity::{IdentityFault, IdentityStore, Pins};
use model::{Code, Failure, Timestamp};
use secrets::binding::{Binding, Bindings, Endpoint, Mode, Ruling, Trial};
use secrets::{Document, Reference};
use uuid::Uuid;

/// Lets a secret out to where it is bound to. Clones remember together.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    identity: Arc<IdentityStore>,
    mode: Mode,
    /// What was let out where in this process: told by the pins while they could be read.
    allowed: Arc<Mutex<BTreeSet<(Document, Endpoint)>>>,
}

impl Gate {
    pub(crate) fn new(identity: Arc<IdentityStore>, mode: Mode) -> Self {
        Self { identity, mode, allowed: Arc::default() }
    }

    /// Asks before a secret is read. Nothing is written: what is never read is bound to nothing.
    ///
    /// # Errors
    /// `binding_refused`, with the way out.
    pub(crate) async fn may_read(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.asked(reference, endpoint, now, Before::Reading).await.map(drop)
    }

    /// Asks, and writes a new pin down before anything is sent.
    ///
    /// # Errors
    /// `binding_refused`, with the way out.
    pub(crate) async fn admit(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.asked(reference, endpoint, now, Before::Sending).await.map(drop)
    }

    /// As [`Self::admit`], by one who will know whether anything was sent. Of a first use a trial is returned, for
    /// [`Self::tried`]; one that is never ended leaves the pin where it is.
    ///
    /// # Errors
    /// `binding_refused`, with the way out.
    pub(crate) async fn try_out(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Option<Trial>, Failure> {
        self.asked(reference, endpoint, now, Before::Trying).await
    }

    /// Ends a trial. When surely nothing was sent, its pin is taken back, unless somebody else has relied on it.
    pub(crate) async fn tried(&self, reference: &Reference, endpoint: &Endpoint, trial: Trial, sent: bool) {
        let (gate, place) = (self.clone(), (reference.document(), endpoint.clone()));
        let done = tokio::task::spawn_blocking(move || gate.end(&place, &trial, sent)).await;
        if let Err(fault) | Ok(Err(fault)) = done.map_err(|fault| fault.to_string()) {
            // Either way the pin stands.
            tracing::warn!(fault, %reference, sent, "The first use of a secret could not be written down to its end");
        }
    }

    fn end(&self, place: &(Document, Endpoint), trial: &Trial, sent: bool) -> Result<(), String> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.identity.update_pins(|pins| {
            let mut bindings: Bindings = pins.bindings()?;
            let taken_back = !sent && bindings.retract(&place.0, trial);
            bindings.settle(&place.0, trial);
            pins.set_bindings(&bindings).map(|()| taken_back)
        });
        let taken_back = written.map_err(|fault| fault.to_string())?.map_err(|fault| fault.to_string())?;
        if taken_back {
            allowed.remove(place);
        }
        Ok(())
    }

    async fn asked(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
        before: Before,
    ) -> Result<Option<Trial>, Failure> {
        let (gate, reference, endpoint) = (self.clone(), reference.clone(), endpoint.clone());
        let work = move || gate.ask(&reference, endpoint, now, before);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|fault| Err(Failure::not_done(Code::BINDING_REFUSED, fault.to_string())))
    }

    fn ask(
        &self,
        reference: &Reference,
        endpoint: Endpoint,
        now: Timestamp,
        before: Before,
    ) -> Result<Option<Trial>, Failure> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let ruled = self.rule(reference, &endpoint, now, before);
        let place = (reference.document(), endpoint);
        match ruled {
            Ok(trial) => {
                if before != Before::Reading {
                    allowed.insert(place);
                }
                Ok(trial)
            }
            // What was allowed while the pins could be read goes on: closing must not wait for a file.
            Err(Fault::Unreadable(fault)) if allowed.contains(&place) => {
                if before != Before::Reading {
                    tracing::warn!(%fault, %reference, "The bindings cannot be read; the secret goes where this process sent it before");
                }
                Ok(None)
            }
            Err(fault) => {
                if matches!(fault, Fault::Refused(_)) {
                    allowed.remove(&place);
                }
                Err(fault.into())
            }
        }
    }

    /// Rules on a secret and a place. Before it is sent, a new pin is written down, or that another one's is relied
    /// on.
    fn rule(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
        before: Before,
    ) -> Result<Option<Trial>, Fault> {
        let unusable = |fault: &dyn std::fmt::Display| Fault::Unusable(fault.to_string());
        let bindings: Bindings = self
            .identity
            .with_pins(Pins::bindings)
            .map_err(Fault::Unreadable)?
            .map_err(|fault| unusable(&fault))?;
        let ruling = bindings.rule(self.mode, reference, endpoint, now).map_err(Fault::Refused)?;
        if ruling == Ruling::Bound || before == Before::Reading {
            return Ok(None);
        }
        // Ruled on again where nobody else can pin: of two first uses the second one is no first use.
        let written = self.identity.update_pins(|pins| {
            let mut bindings: Bindings = pins.bindings().map_err(|fault| unusable(&fault))?;
            let document = reference.document();
            let trial = match bindings.rule(self.mode, reference, endpoint, now).map_err(Fault::Refused)? {
                Ruling::Bound => None,
                Ruling::Tried => {
                    bindings.rely(&document, endpoint);
                    None
                }
                Ruling::Pin(binding) => {
                    let first = bindings.of(&document).is_empty();
                    let trial = (first && before == Before::Trying).then(|| Trial::new(Uuid::new_v4()));
                    bindings.add(document, Binding { trial: trial.clone(), ..binding });
                    trial
                }
            };
            pins.set_bindings(&bindings).map_err(|fault| unusable(&fault))?;
            Ok(trial)
        });
        written.unwrap_or_else(|fault| Err(unusable(&fault)))
    }
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Reading,
    /// Sending, by one who will know whether it was.
    Trying,
    Sending,
}

/// Why a secret is not sent.
enum Fault {
    /// The bindings say so.
    Refused(Failure),
    /// Nobody knows what they say.
    Unreadable(IdentityFault),
    /// They cannot be understood or written.
    Unusable(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let detail = match fault {
            Fault::Refused(failure) => return failure,
            Fault::Unreadable(fault) => format!(
                "the secret bindings cannot be read: {fault}; without a backup `tidegate bindings reset` begins with none"
            ),
            Fault::Unusable(detail) => format!("the secret bindings cannot be read or written: {detail}"),
        };
        Self::not_done(Code::BINDING_REFUSED, detail)
    }
}

#[cfg(test)]
mod tests {
    use model::ConnectorId;
    use secrets::binding::TlsFloor;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    struct Scene {
        folder: tempfile::TempDir,
        reference: Reference,
        here: Endpoint,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("identity");
            IdentityStore::create(&dir, ConnectorId::parse("c1").unwrap()).unwrap();
            let here = Endpoint {
                kind: "postgres".into(),
                host: "db".into(),
                port: 5432,
                tls_floor: TlsFloor::VerifiedName,
                authorities: None,
            };
            Self { folder, reference: Reference::parse("file://admin.json").unwrap(), here }
        }

        fn store(&self) -> Arc<IdentityStore> {
            Arc::new(IdentityStore::open(&self.folder.path().join("identity")).unwrap())
        }

        /// What another process has: nothing in common but the files.
        fn process(&self) -> Gate {
            Gate::new(self.store(), Mode::FirstUse)
        }

        async fn try_out(&self, gate: &Gate) -> Option<Trial> {
            gate.try_out(&self.reference, &self.here, NOW).await.unwrap()
        }

        async fn unsent(&self, gate: &Gate, trial: Option<Trial>) {
            gate.tried(&self.reference, &self.here, trial.expect("it was the first use"), false).await;
        }

        fn bound(&self) -> Vec<Binding> {
            let bindings: Bindings = self.store().pins().unwrap().bindings().unwrap();
            bindings.of(&self.reference.document()).to_vec()
        }
    }

    #[tokio::test]
    async fn a_first_use_takes_back_only_a_pin_on_which_nobody_relied() {
        for shared in [false, true] {
            let scene = Scene::new();
            let first = scene.process();
            let second = if shared { first.clone() } else { scene.process() };
            // Alone.
            let trial = scene.try_out(&first).await;
            scene.unsent(&first, trial).await;
            assert_eq!(scene.bound(), [], "shared {shared}");
            // Another one comes between: it relies on the pin before it sends, and it is not the one to take it back.
            let trial = scene.try_out(&first).await;
            assert_eq!(scene.try_out(&second).await, None, "shared {shared}");
            scene.unsent(&first, trial).await;
            let bound = scene.bound();
            assert!(matches!(&bound[..], [pin] if pin.trial.is_none()), "shared {shared}: {bound:?}");
            let elsewhere = Endpoint { host: "other".into(), ..scene.here.clone() };
            first.try_out(&scene.reference, &elsewhere, NOW).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_reads_only_or_never_ends_its_trial_changes_no_pin() {
        let scene = Scene::new();
        let (first, second) = (scene.process(), scene.process());
        let trial = scene.try_out(&first).await;
        second.may_read(&scene.reference, &scene.here, NOW).await.unwrap();
        scene.unsent(&first, trial).await;
        assert_eq!(scene.bound(), [], "who only reads has sent nothing");
        // It dies within: its pin stands, and the next one relies on it.
        drop(scene.try_out(&first).await.expect("it is the first use again"));
        assert_eq!(scene.try_out(&second).await, None);
        assert!(scene.bound()[0].trial.is_none());
    }

    #[tokio::test]
    async fn what_was_sent_and_what_cannot_be_taken_back_is_bound_for_good() {
        let scene = Scene::new();
        let gate = scene.process();
        let trial = scene.try_out(&gate).await.unwrap();
        gate.tried(&scene.reference, &scene.here, trial, true).await;
        assert!(matches!(&scene.bound()[..], [pin] if pin.trial.is_none()));
        // The journal's own secret is pinned without a trial.
        let scene = Scene::new();
        scene.process().admit(&scene.reference, &scene.here, NOW).await.unwrap();
        assert!(matches!(&scene.bound()[..], [pin] if pin.trial.is_none()));
    }
}
