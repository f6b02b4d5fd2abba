//! TLS by `sslmode`: which handshake is tried, and what of the server's certificate is believed.
//!
//! Three verifiers: none (the handshake's signatures are still checked), the chain alone, chain and name.
//! `require` means encrypted and unverified, as documented, also when a CA is given.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::aws_lc_rs::digest;
use model::Secret;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Clear text only.
    Disable,
    /// Clear text first, TLS when that is refused.
    Allow,
    /// TLS when the server has it.
    Prefer,
    /// TLS, whoever answers.
    Require,
    /// TLS, and the certificate leads to a trusted root.
    VerifyCa,
    /// TLS, a trusted root, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    /// Every mode with its word.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// Returns the word that people write.
    pub fn word(self) -> &'static str {
        Self::WORDS.into_iter().find(|(_, mode)| *mode == self).map_or("prefer", |(word, _)| word)
    }

    /// Returns true when nobody between us and the server can read along or answer in its place.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// A certificate that was given cannot be read, or there is none in the text.
    #[error("there is no readable certificate in what was given")]
    Unreadable,
    /// Verification is asked for, and there is no root to verify by.
    #[error("there is no root certificate on this system")]
    NoRoots,
    #[error("this build has no TLS version to offer")]
    NoVersion,
    #[error("our own certificate cannot be read")]
    OwnChain,
    /// It is no key in PEM form, or an encrypted one.
    #[error("the key of our own certificate cannot be read")]
    OwnKey,
    #[error("the key is not the one of our own certificate")]
    OwnPair,
}

/// Makes the client's side of the handshake for a mode.
///
/// # Errors
/// When certificates cannot be read, verification is asked for and there is no root to verify by, or our own
/// certificate cannot be shown.
pub(crate) fn client(
    mode: SslMode,
    authorities: Option<&str>,
    own: Option<&OwnCertificate>,
) -> Result<ClientConfig, TlsFault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        SslMode::VerifyCa => Arc::new(ChainOnly(chain_and_name(authorities, &provider)?)),
        SslMode::VerifyFull => chain_and_name(authorities, &provider)?,
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => {
            Arc::new(Anybody(Arc::clone(&provider)))
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsFault::NoVersion)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some(own) = own else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = own.read()?;
    builder.with_client_auth_cert(chain, key).map_err(|_| TlsFault::OwnPair)
}

/// The certificate by which the server is to know us, with those that lead to its authority, and its key; both PEM.
#[derive(Debug)]
pub struct OwnCertificate {
    pub chain: Secret,
    pub key: Secret,
}

impl OwnCertificate {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFault> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.chain.expose().as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsFault::OwnChain)?;
        let key =
            PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes()).map_err(|_| TlsFault::OwnKey)?;
        Ok((chain, key))
    }
}

fn chain_and_name(
    authorities: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsFault> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => roots = certificates(pem)?,
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (_, ignored) = roots.add_parsable_certificates(found.certs);
            if ignored > 0 {
                tracing::debug!(ignored, "Some of the system's root certificates cannot be read");
            }
        }
    }
    if roots.is_empty() {
        return Err(TlsFault::NoRoots);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| TlsFault::Unreadable)
}

/// Reads root certificates in PEM form.
///
/// # Errors
/// When one is not readable, or there is none.
pub fn certificates(pem: &str) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| TlsFault::Unreadable)?;
        roots.add(certificate).map_err(|_| TlsFault::Unreadable)?;
    }
    if roots.is_empty() { Err(TlsFault::Unreadable) } else { Ok(roots) }
}

/// Returns one digest for certificates in PEM form: the same ones in another order have the same.
pub fn digest_of(pem: &str) -> [u8; 32] {
    let given: BTreeSet<Vec<u8>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().map(|found| found.to_vec()).collect();
    let mut context = digest::Context::new(&digest::SHA256);
    for certificate in given {
        // With their digests in a row no two lists look alike.
        context.update(digest::digest(&digest::SHA256, &certificate).as_ref());
    }
    let mut whole = [0; 32];
    whole.copy_from_slice(context.finish().as_ref());
    whole
}

/// Believes any certificate, but not a handshake that its key did not sign.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes a certificate that leads to a trusted root, whatever it names. The verifier inside looks at the
/// chain before it looks at the name, so a complaint about the name says that the chain is good.
#[derive(Debug)]
struct ChainOnly(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_its_word() {
        let verifying: Vec<_> =
            SslMode::WORDS.into_iter().filter(|(_, mode)| mode.verifies()).map(|(word, _)| word).collect();
        assert_eq!(verifying, ["verify-ca", "verify-full"]);
        for (word, mode) in SslMode::WORDS {
            assert_eq!(mode.word(), word);
        }
    }

    #[test]
    fn a_ca_that_cannot_be_read_is_refused() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no pem"] {
            let refused = client(SslMode::VerifyFull, Some(pem), None).map(drop);
            assert_eq!(refused, Err(TlsFault::Unreadable), "{pem}");
        }
    }
}
