//! Servers that know the admin by a certificate: shown as they ask for it, and what is wrong with it told by its name.

use std::path::Path;

use driver::{Driver, Settings, TargetSecret};
use driver_postgres::Postgres as PostgresDriver;
use model::{Code, Failure, Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use services::postgres::{Options, Postgres};

use crate::people::context;

/// An authority of the tests' own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a role, and its key; `years` says when it ended or ends.
    fn client(&self, role: &str, years: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, role);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(years, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

struct Row<'r> {
    name: &'r str,
    user: &'r str,
    password: Option<&'r str>,
    certificate: Option<&'r str>,
    key: Option<&'r str>,
    mode: &'r str,
    expected: Result<(), Code>,
}

async fn outcome(server: &Postgres, row: &Row<'_>) -> Result<(), Failure> {
    let mut settings = Settings::default()
        .with("hostname", "127.0.0.1")
        .with("port", server.port().to_string())
        .with("sslmode", row.mode);
    if row.mode.starts_with("verify") {
        settings = settings.with("ca_certificates", std::fs::read_to_string(server.ca_file()).unwrap());
    }
    let values = [
        ("username", Some(row.user)),
        ("password", row.password),
        ("client_certificate", row.certificate),
        ("client_key", row.key),
    ];
    let values =
        values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Secret::new(value?.to_owned()))));
    let secret = TargetSecret::new(values.collect(), "1");
    let target = PostgresDriver.parse(&settings).unwrap().connect(&secret, context()).await?;
    target.check().await?;
    target.close().await;
    Ok(())
}

/// Makes a file that the server can read, whoever runs it.
fn readable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(path.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[expect(clippy::too_many_lines, reason = "one table")]
pub(crate) async fn all(server: &Options) {
    let (ours, others) = (Authority::new("clients"), Authority::new("other clients"));
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("clients.pem");
    readable(&trusted, &ours.pem);
    let options = Options {
        hba: vec![
            "hostssl all by_certificate all cert".into(),
            "hostssl all by_both all scram-sha-256 clientcert=verify-full".into(),
            "hostssl all by_authority all scram-sha-256 clientcert=verify-ca".into(),
        ],
        ..server.clone().set("ssl_ca_file", &trusted.display().to_string())
    };
    let server = Postgres::launch(&options).unwrap();
    for role in ["by_certificate", "by_both", "by_authority"] {
        let made = format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'hunter2-password'");
        server.psql("postgres", &made).unwrap();
    }
    let (alone, alone_key) = ours.client("by_certificate", 2999);
    let (both, both_key) = ours.client("by_both", 2999);
    let (expired, expired_key) = ours.client("by_both", 2001);
    let (foreign, foreign_key) = others.client("by_both", 2999);
    let chain = format!("{both}{}", ours.pem);
    let row = |name, user, password, certificate, key, expected| Row {
        name,
        user,
        password,
        certificate,
        key,
        mode: "verify-full",
        expected,
    };
    let (password, wrong) = (Some("hunter2-password"), Some("hunter2-wrong"));
    let mut table = vec![
        row("by the certificate alone", "by_certificate", None, Some(&alone), Some(&alone_key), Ok(())),
        row(
            "a password that is not asked for",
            "by_certificate",
            wrong,
            Some(&alone),
            Some(&alone_key),
            Ok(()),
        ),
        row("by both", "by_both", password, Some(&both), Some(&both_key), Ok(())),
        row("with the chain", "by_both", password, Some(&chain), Some(&both_key), Ok(())),
        row("by the authority", "by_authority", password, Some(&both), Some(&both_key), Ok(())),
        row("no certificate", "by_both", password, None, None, Err(Code::LOGIN_REFUSED)),
        row("no certificate and no password", "by_both", None, None, None, Err(Code::SECRET_MALFORMED)),
        row("another role's", "by_both", password, Some(&alone), Some(&alone_key), Err(Code::LOGIN_REFUSED)),
        row(
            "another role's, alone",
            "by_certificate",
            None,
            Some(&both),
            Some(&both_key),
            Err(Code::LOGIN_REFUSED),
        ),
        row(
            "another authority's",
            "by_both",
            password,
            Some(&foreign),
            Some(&foreign_key),
            Err(Code::TLS_REFUSED),
        ),
        row("expired", "by_both", password, Some(&expired), Some(&expired_key), Err(Code::TLS_REFUSED)),
        row(
            "a wrong password beside it",
            "by_both",
            wrong,
            Some(&both),
            Some(&both_key),
            Err(Code::LOGIN_REFUSED),
        ),
        row(
            "a password is asked for",
            "by_both",
            None,
            Some(&both),
            Some(&both_key),
            Err(Code::LOGIN_REFUSED),
        ),
        row("no key", "by_both", password, Some(&both), None, Err(Code::SECRET_MALFORMED)),
        row(
            "no certificate for the key",
            "by_both",
            password,
            None,
            Some(&both_key),
            Err(Code::SECRET_MALFORMED),
        ),
        row("another's key", "by_both", password, Some(&both), Some(&alone_key), Err(Code::SECRET_MALFORMED)),
        row(
            "no key in it",
            "by_both",
            password,
            Some(&both),
            Some("hunter2-key"),
            Err(Code::SECRET_MALFORMED),
        ),
        row(
            "no certificate in it",
            "by_both",
            password,
            Some("hunter2"),
            Some(&both_key),
            Err(Code::SECRET_MALFORMED),
        ),
    ];
    for mode in ["prefer", "require", "verify-ca"] {
        let of_mode = row(mode, "by_both", password, Some(&both), Some(&both_key), Ok(()));
        table.push(Row { mode, ..of_mode });
    }
    let never =
        row("clear text", "by_both", password, Some(&both), Some(&both_key), Err(Code::CONFIG_REFUSED));
    table.push(Row { mode: "disable", ..never });
    for row in &table {
        let found = outcome(&server, row).await;
        let told = format!("{found:?}");
        assert_eq!(found.map_err(|failure| failure.code), row.expected, "{}: {told}", row.name);
        assert!(!told.contains("hunter2") && !told.contains("BEGIN"), "{}: {told}", row.name);
    }
}
