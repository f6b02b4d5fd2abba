//! `sealed://…`: the secret itself, sealed to one of the connector's keys for one place.
//!
//! No store: opening needs to know where the secret is about to be sent, so a sealed reference that was
//! copied to another integration, kind, host or TLS floor does not open at all. The port is held by the
//! [`binding`](crate::binding), as for every reference.

use model::{DriverKind, Failure, IntegrationId};
use seal::credential::{Place, SealedReference, open_reference};
use seal::hpke::SealFault;
use seal::keys::SealingKey;

use crate::binding::Endpoint;
use crate::faults;
use crate::reference::{Reference, Scheme};
use crate::value;
use crate::{Fetched, Version};

/// Opens a sealed reference in the place where it is about to be used, with the one of the connector's keys
/// that it names.
///
/// # Errors
/// `secret_malformed` when it was cut or changed, `secret_denied` when it was sealed to another key or for
/// another place.
pub fn open(
    reference: &Reference,
    integration: &IntegrationId,
    endpoint: &Endpoint,
    keys: &[SealingKey],
) -> Result<Fetched, Failure> {
    if reference.scheme() != Scheme::Sealed {
        return Err(faults::denied(reference, "it is not sealed: its store reads it"));
    }
    let sealed: SealedReference = reference
        .document()
        .as_str()
        .parse()
        .map_err(|fault: SealFault| faults::unreadable(reference, &fault.to_string()))?;
    let key = keys.iter().find(|key| key.id() == sealed.key).ok_or_else(|| {
        faults::denied(
            reference,
            "it is sealed to a key that this connector does not have: seal it anew with `tidegatectl seal`",
        )
    })?;
    let kind = DriverKind(endpoint.kind.clone());
    let place =
        Place { integration, kind: &kind, host: &endpoint.host, tls_floor: endpoint.tls_floor.word() };
    let text = open_reference(key, &place, &sealed).map_err(|_| {
        faults::denied(
            reference,
            &format!(
                "it was changed, or sealed for another place than integration {integration}, kind {}, host {}, TLS floor {}: seal it for this place with `tidegatectl seal`",
                endpoint.kind, endpoint.host.escape_debug(), endpoint.tls_floor
            ),
        )
    })?;
    let values = value::parse(text.expose().as_bytes(), reference.field())
        .map_err(|fault| faults::malformed(reference, &fault))?;
    Ok(Fetched { values, version: version(reference) })
}

/// The end of a sealed text is the cipher's tag: it differs each time something is sealed.
fn version(reference: &Reference) -> Version {
    let locator = reference.locator();
    let tail = locator.len().saturating_sub(16);
    Version::new(format!("sealed-{}", locator.get(tail..).unwrap_or(locator)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::TlsFloor;
    use model::{Code, Secret};
    use seal::credential::seal_reference;

    fn sealed(key: &SealingKey, text: &str) -> Reference {
        let (integration, kind) = (IntegrationId::parse("pg").unwrap(), DriverKind("postgresql".into()));
        let place =
            Place { integration: &integration, kind: &kind, host: "db.example", tls_floor: "verified_name" };
        let sealed = seal_reference(key.public(), &place, &Secret::new(text.into())).unwrap();
        Reference::parse(&sealed.to_string()).unwrap()
    }

    fn endpoint(host: &str, kind: &str, tls_floor: TlsFloor) -> Endpoint {
        Endpoint { kind: kind.into(), host: host.into(), port: 5432, tls_floor, authorities: None }
    }

    #[test]
    fn it_opens_only_in_its_place_and_with_its_key() {
        let (ours, old) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let other = SealingKey::generate().unwrap();
        let reference = sealed(&old, "username=u\npassword=s3cr3t");
        let (pg, my) = (IntegrationId::parse("pg").unwrap(), IntegrationId::parse("my").unwrap());
        let right = endpoint("DB.example", "postgresql", TlsFloor::VerifiedName);
        let keys = [ours, old];
        let fetched = open(&reference, &pg, &right, &keys).unwrap();
        assert_eq!(fetched.values["password"].expose(), "s3cr3t");
        let table = [
            ("another integration", &my, right.clone()),
            ("another host", &pg, endpoint("evil.example", "postgresql", TlsFloor::VerifiedName)),
            ("another kind", &pg, endpoint("db.example", "mysql", TlsFloor::VerifiedName)),
            ("weaker TLS", &pg, endpoint("db.example", "postgresql", TlsFloor::Encrypted)),
        ];
        for (name, integration, endpoint) in table {
            let failure = open(&reference, integration, &endpoint, &keys).unwrap_err();
            assert_eq!(failure.code, Code::SECRET_DENIED, "{name}");
            assert!(!format!("{failure:?}").contains("s3cr3t"), "{name}");
        }
        assert_eq!(open(&reference, &pg, &right, &[other]).unwrap_err().code, Code::SECRET_DENIED);
        let again = sealed(&keys[1], "username=u\npassword=s3cr3t");
        assert_ne!(fetched.version, open(&again, &pg, &right, &keys).unwrap().version);
    }

    #[test]
    fn what_was_cut_or_does_not_read_is_malformed() {
        let key = SealingKey::generate().unwrap();
        let pg = IntegrationId::parse("pg").unwrap();
        let place = endpoint("db.example", "postgresql", TlsFloor::VerifiedName);
        let bare = sealed(&key, "s3cr3t");
        for reference in [Reference::parse("sealed://1/k").unwrap(), bare] {
            let failure = open(&reference, &pg, &place, std::slice::from_ref(&key)).unwrap_err();
            assert_eq!(failure.code, Code::SECRET_MALFORMED);
        }
        let file = Reference::parse("file://a").unwrap();
        assert_eq!(open(&file, &pg, &place, &[]).unwrap_err().code, Code::SECRET_DENIED);
    }
}
