//! Asks whether a secret may be sent to a place, and pins its reference there at the first use.

use std::sync::Arc;

use journal::identity::{IdentityStore, Pins};
use model::{Code, Failure, Timestamp};
use secrets::Reference;
use secrets::binding::{Bindings, Endpoint, Mode, Ruling};

/// Asks, and writes a new pin down before anything is sent.
///
/// # Errors
/// `binding_refused`, with the way out.
pub(crate) async fn bind(
    identity: &Arc<IdentityStore>,
    mode: Mode,
    reference: &Reference,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<(), Failure> {
    let identity = Arc::clone(identity);
    let (reference, endpoint) = (reference.clone(), endpoint.clone());
    let unwritable = |detail: String| {
        Failure::not_done(Code::BINDING_REFUSED, format!("the bindings cannot be read or written: {detail}"))
    };
    let work = move || -> Result<(), Failure> {
        let bindings: Bindings = identity
            .with_pins(Pins::bindings)
            .map_err(|fault| unwritable(fault.to_string()))?
            .map_err(|fault| unwritable(fault.to_string()))?;
        let Ruling::Pin(binding) = bindings.rule(mode, &reference, &endpoint, now)? else {
            return Ok(());
        };
        let written = identity.update_pins(|pins| {
            let mut bindings: Bindings = pins.bindings()?;
            bindings.add(reference.document(), binding);
            pins.set_bindings(&bindings)
        });
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(unwritable(fault.to_string())),
            Err(fault) => Err(unwritable(fault.to_string())),
        }
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|fault| Err(Failure::not_done(Code::BINDING_REFUSED, fault.to_string())))
}
