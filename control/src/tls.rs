//! The server's certificate: from files, or from a private authority of its own for development.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How long the authority lives, and a certificate of it. A new one is made at every start.
const AUTHORITY_LIFE: Span = Span::from_days(3_650);
/// How long a server's certificate lives.
const SERVER_LIFE: Span = Span::from_days(397);
/// Clocks may disagree by so much.
const BACK: Span = Span::from_days(1);
/// The modes of a key, and of a certificate: people and agents are given it.
const OWNERS: u32 = 0o600;
const EVERYBODYS: u32 = 0o644;

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    #[error("cannot read `{path}`: give a file in PEM form that this process may read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{path}`: give a data folder that this process may write")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{path}` is readable by others (mode {mode:o}): `chmod 600` it")]
    Open { path: PathBuf, mode: u32 },
    #[error("`{path}` holds no {what} in PEM form")]
    Missing { path: PathBuf, what: &'static str },
    #[error("the certificate cannot be served: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("no certificate could be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// A certificate chain with its key, in PEM form.
pub struct Certificate {
    chain: String,
    key: zeroize::Zeroizing<String>,
    /// The authority by which clients verify it, when it is our own.
    pub authority: Option<Authority>,
}

/// A private authority for development.
#[derive(Debug, Clone)]
pub struct Authority {
    pub file: PathBuf,
    /// SHA-256 of its certificate, in hexadecimal.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads chain and key from files. The key must be readable by its owner alone.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, TlsFault> {
        private(key)?;
        Ok(Self { chain: read(chain)?, key: read(key)?.into(), authority: None })
    }

    /// Makes a certificate for this machine, signed by an authority that is kept in the folder.
    ///
    /// # Errors
    /// The folder cannot be read or written, or the system gave no randomness.
    pub fn for_development(folder: &Path, addresses: &[IpAddr], now: Timestamp) -> Result<Self, TlsFault> {
        let file = folder.join("dev-ca.pem");
        let key_file = folder.join("dev-ca.key");
        if !file.exists() || !key_file.exists() {
            let key = KeyPair::generate()?;
            let authority = authority(now).self_signed(&key)?;
            write(&key_file, &key.serialize_pem(), OWNERS)?;
            write(&file, &authority.pem(), EVERYBODYS)?;
        }
        private(&key_file)?;
        let key = KeyPair::from_pem(&zeroize::Zeroizing::new(read(&key_file)?))?;
        let issuer = Issuer::new(authority(now), key);
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
        names.extend(addresses.iter().filter(|address| !address.is_unspecified()).map(ToString::to_string));
        names.sort();
        names.dedup();
        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name = named("Tidegate control plane (development)");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        set_life(&mut server, now, SERVER_LIFE);
        let server = server.signed_by(&server_key, &issuer)?;
        let pem = read(&file)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| TlsFault::Missing { path: file.clone(), what: "certificate" })?;
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let fingerprint = crate::token::hex(hash.as_ref());
        Ok(Self {
            chain: server.pem(),
            key: server_key.serialize_pem().into(),
            authority: Some(Authority { file, fingerprint }),
        })
    }

    /// Returns the certificate for the agents' server.
    pub fn identity(&self) -> tonic::transport::Identity {
        tonic::transport::Identity::from_pem(&self.chain, self.key.as_bytes())
    }

    /// Returns the settings of the REST server.
    ///
    /// # Errors
    /// Chain and key do not fit.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsFault> {
        let missing = |what| TlsFault::Missing { path: PathBuf::from("certificate"), what };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect();
        let chain = chain.map_err(|_| missing("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|_| missing("private key"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn authority(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Tidegate development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, now, AUTHORITY_LIFE);
    params
}

fn set_life(params: &mut CertificateParams, now: Timestamp, span: Span) {
    let ((year, month, day), (last_year, last_month, last_day)) =
        (date(now.minus(BACK)), date(now.plus(span)));
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(last_year, last_month, last_day);
}

fn date(at: Timestamp) -> (i32, u8, u8) {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}

fn read(path: &Path) -> Result<String, TlsFault> {
    fs::read_to_string(path).map_err(|source| TlsFault::Read { path: path.into(), source })
}

fn private(path: &Path) -> Result<(), TlsFault> {
    let found = fs::metadata(path).map_err(|source| TlsFault::Read { path: path.into(), source })?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(TlsFault::Open { path: path.into(), mode }) }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsFault> {
    let fault = |source| TlsFault::Write { path: path.into(), source };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(fault)?;
    // Whatever the umask, and whoever made it.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.sync_all().map_err(fault)
}
