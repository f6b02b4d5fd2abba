//! Servers whose certificate or TLS is not accepted: the refusal tells the cause, and the way out.

use std::sync::Arc;

use model::Code;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::certificates::Authority;
use crate::hostile::{BAIT, Mask, Say, error, provider, tried};

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, BAIT);
    params
}

fn between(years: [i32; 2]) -> CertificateParams {
    let mut params = params("127.0.0.1");
    [params.not_before, params.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    params
}

/// A server with a certificate; its PEM, too. Signed by itself without an authority.
fn server(params: &CertificateParams, by: Option<&Authority>) -> (String, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let chain = vec![certificate.der().clone()];
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (certificate.pem(), Arc::new(config))
}

pub(crate) async fn all() {
    let (ours, others) = (Authority::new("an authority"), Authority::new("another"));
    let of_kind = |is_ca| {
        let mut params = params("127.0.0.1");
        params.is_ca = is_ca;
        params
    };
    let authority_as_leaf = of_kind(IsCa::Ca(BasicConstraints::Unconstrained));
    let self_signed = of_kind(IsCa::ExplicitNoCa);
    let from = |params: &CertificateParams, by| (ours.pem.clone(), server(params, Some(by)).1);
    // What is believed, the server, and what is told in verify-ca and verify-full; nothing where it is accepted.
    let not_for_it =
        ["", "not valid for the name `127.0.0.1`: put a name of its subjectAltName into `hostname`"];
    let table = [
        (
            "an authority as a server",
            server(&authority_as_leaf, None),
            ["`openssl req -x509` is an authority"; 2],
        ),
        ("signed by itself", server(&self_signed, None), [""; 2]),
        ("good", from(&params("127.0.0.1"), &ours), [""; 2]),
        ("another address", from(&params("127.0.0.9"), &ours), not_for_it),
        ("a name", from(&params("db.example.org"), &ours), not_for_it),
        ("expired", from(&between([2000, 2001]), &ours), ["has expired ("; 2]),
        ("not yet valid", from(&between([2900, 2999]), &ours), ["not yet valid (it begins in"; 2]),
        ("unknown issuer", from(&params("127.0.0.1"), &others), ["(unknown issuer): put the authority's"; 2]),
    ];
    for (name, (believed, config), told) in table {
        for (mode, words) in ["verify-ca", "verify-full"].into_iter().zip(told) {
            // Who is accepted gets to the login, and refuses that.
            let says = vec![Say::Now(error("28P01"))];
            let mask = Mask { to_tls: b"S".to_vec(), tls: Some(Arc::clone(&config)), says };
            let (failure, heard) = tried(&mask, mode, Some(&believed)).await;
            let code = if words.is_empty() { Code::LOGIN_REFUSED } else { Code::TLS_REFUSED };
            assert_eq!(failure.code, code, "{name}, {mode}: {failure}");
            assert!(failure.detail.contains(words), "{name}, {mode}: {failure}");
            assert_eq!(heard.inside.is_empty(), code == Code::TLS_REFUSED, "{name}, {mode}");
            assert!(!failure.detail.contains("evil.example"), "{name}, {mode}: {failure}");
        }
    }
    // A fatal alert: protocol_version, handshake_failure.
    let alert = |what| vec![b'S', 21, 3, 1, 0, 2, 2, what];
    let table = [
        ("no version is common", alert(70), "no TLS version or cipher is common"),
        ("no cipher is common", alert(40), "no TLS version or cipher is common"),
        ("garbage", [b"S", &[0xff; 64][..]].concat(), "is not TLS"),
    ];
    for (name, to_tls, words) in table {
        let mask = Mask { to_tls, tls: None, says: vec![] };
        for mode in ["require", "verify-full"] {
            let ca = (mode == "verify-full").then_some(ours.pem.as_str());
            let (failure, _) = tried(&mask, mode, ca).await;
            assert_eq!(failure.code, Code::TLS_REFUSED, "{name}, {mode}: {failure}");
            assert!(failure.detail.contains(words), "{name}, {mode}: {failure}");
        }
    }
}
