//! A world's own certificate authority, for what stands between agent and control plane.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// An authority that lives as long as its world.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// Makes one and writes its certificate to a file.
    pub fn new(file: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("make the authority's key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tidegate end-to-end world");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).context("make the authority")?;
        std::fs::write(file, certificate.pem()).with_context(|| format!("write {}", file.display()))?;
        Ok(Self { issuer: Issuer::new(params, key), file: file.to_owned() })
    }

    /// The file with its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Makes a certificate for a server on this machine that speaks HTTP/2.
    pub fn server(&self) -> anyhow::Result<Arc<ServerConfig>> {
        self.server_for("h2")
    }

    /// Makes a certificate for a server on this machine that speaks another protocol.
    pub fn server_for(&self, protocol: &str) -> anyhow::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate().context("make a server's key")?;
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut params = CertificateParams::new(names).context("name a server")?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).context("make a server's certificate")?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|fault| anyhow::anyhow!("read a server's key: {fault}"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Arc::new(config))
    }
}

/// Trusts only the authorities in a file, for HTTP/2 or, with no protocol named, for anything.
pub fn trusting(file: &Path, protocol: Option<&str>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).with_context(|| format!("read {}", file.display()))?
    {
        roots.add(certificate.with_context(|| format!("read {}", file.display()))?)?;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
