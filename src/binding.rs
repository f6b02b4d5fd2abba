//! Asks whether a secret may be sent to a place, and pins its reference there at the first use.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use journal::identity::{IdentityFault, IdentityStore, Pins};
use model::{Code, Failure, Timestamp};
use secrets::binding::{Bindings, Endpoint, Mode, Ruling};
use secrets::{Document, Reference};

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
        self.asked(reference, endpoint, now, Before::Reading).await
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
        self.asked(reference, endpoint, now, Before::Sending).await
    }

    async fn asked(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
        before: Before,
    ) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        let ruled = self.rule(reference, &endpoint, now, before);
        let place = (reference.document(), endpoint);
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        match ruled {
            Ok(()) => {
                if before == Before::Sending {
                    allowed.insert(place);
                }
                Ok(())
            }
            // What was allowed while the pins could be read goes on: closing must not wait for a file.
            Err(Fault::Unreadable(fault)) if allowed.contains(&place) => {
                if before == Before::Sending {
                    tracing::warn!(%fault, %reference, "The bindings cannot be read; the secret goes where this process sent it before");
                }
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, Fault::Refused(_)) {
                    allowed.remove(&place);
                }
                Err(fault.into())
            }
        }
    }

    /// Rules on a secret and a place, and writes the pin down when it is the first one that is sent.
    fn rule(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        now: Timestamp,
        before: Before,
    ) -> Result<(), Fault> {
        let unusable = |fault: &dyn std::fmt::Display| Fault::Unusable(fault.to_string());
        let bindings: Bindings = self
            .identity
            .with_pins(Pins::bindings)
            .map_err(Fault::Unreadable)?
            .map_err(|fault| unusable(&fault))?;
        let ruling = bindings.rule(self.mode, reference, endpoint, now).map_err(Fault::Refused)?;
        if ruling == Ruling::Bound || before == Before::Reading {
            return Ok(());
        }
        // Ruled on again where nobody else can pin: of two first uses the second one is no first use.
        let written = self.identity.update_pins(|pins| {
            let mut bindings: Bindings = pins.bindings().map_err(|fault| unusable(&fault))?;
            let ruling = bindings.rule(self.mode, reference, endpoint, now).map_err(Fault::Refused)?;
            if let Ruling::Pin(binding) = ruling {
                bindings.add(reference.document(), binding);
                pins.set_bindings(&bindings).map_err(|fault| unusable(&fault))?;
            }
            Ok(())
        });
        written.unwrap_or_else(|fault| Err(unusable(&fault)))
    }
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Reading,
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
