//! An integration's settings, checked: where the server is and how it is spoken to.

use std::time::Duration;

use driver::settings::Host;
use driver::{ConfigFault, Settings};
use model::Span;
use pg::SslMode;
use secrets::binding::{Authorities, Endpoint, TlsFloor};

use crate::manifest::{KIND, MANIFEST};

/// A database name that forms print as an example; no server has it.
const MISPRINT: &str = "postgre";
const DEFAULT_DATABASE: &str = "postgres";
const LEAST_CONNECT_TIMEOUT: Span = Span::from_secs(1);
const MOST_CONNECT_TIMEOUT: Span = Span::from_secs(60);

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The database in which accounts are made; any does, they are shared by all.
    pub(crate) database: String,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ca_certificates: Option<String>,
    pub(crate) connect_timeout: Duration,
    /// How many sessions an account may have at once.
    pub(crate) sessions_per_account: u32,
}

impl Config {
    /// Checks settings; nothing is asked of a network.
    ///
    /// # Errors
    /// All faults at once.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Vec<ConfigFault>> {
        let mut reader = settings.reader(&MANIFEST);
        let host = reader.host("hostname");
        let port = reader.port("port");
        let database = reader.text("dbname").unwrap_or_else(|| DEFAULT_DATABASE.into());
        let ssl_mode = reader.choice("sslmode", SslMode::Prefer, &SslMode::WORDS);
        let ca_certificates = reader.text("ca_certificates");
        let connect_timeout = reader.duration("connect_timeout").unwrap_or(Span::from_secs(10));
        let sessions = reader.whole("sessions_per_account").unwrap_or(10);
        if connect_timeout < LEAST_CONNECT_TIMEOUT || connect_timeout > MOST_CONNECT_TIMEOUT {
            reader.fault("connect_timeout", "is out of its limits", "give 1s to 60s");
        }
        if let Some(pem) = &ca_certificates {
            if pg::certificates(pem).is_err() {
                reader.fault("ca_certificates", "has no readable certificate", "paste the PEM whole");
            }
            if !ssl_mode.verifies() {
                reader.fault(
                    "ca_certificates",
                    "is given and this `sslmode` does not use it",
                    "use `sslmode` verify-full or verify-ca, or leave it empty",
                );
            }
        }
        reader.finish()?;
        Ok(Self {
            host,
            port,
            database,
            ssl_mode,
            ca_certificates,
            connect_timeout: connect_timeout.as_std(),
            sessions_per_account: u32::try_from(sessions).unwrap_or(10),
        })
    }

    /// Returns what the secret is bound to.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            kind: KIND.into(),
            host: self.host.to_string(),
            port: self.port,
            tls_floor: floor(self.ssl_mode),
            authorities: authorities(self.ssl_mode, self.ca_certificates.as_deref()),
        }
    }

    /// Returns the database to try when the server does not know the one that is set.
    pub(crate) fn second_guess(&self) -> Option<&'static str> {
        (self.database == MISPRINT).then_some(DEFAULT_DATABASE)
    }
}

/// Returns the least protection that a connection of a mode can come to have.
const fn floor(mode: SslMode) -> TlsFloor {
    match mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => TlsFloor::None,
        SslMode::Require => TlsFloor::Encrypted,
        SslMode::VerifyCa => TlsFloor::VerifiedChain,
        SslMode::VerifyFull => TlsFloor::VerifiedName,
    }
}

/// Returns whose certificates a mode believes.
fn authorities(mode: SslMode, given: Option<&str>) -> Option<Authorities> {
    let believed = given.map_or(Authorities::System, |pem| Authorities::Given(pg::digest_of(pem)));
    mode.verifies().then_some(believed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn defaults_are_those_of_the_product_document() {
        let config = Config::read(&settings(&[("hostname", "db.example.com")])).unwrap();
        assert_eq!((config.port, config.database.as_str()), (5432, "postgres"));
        assert_eq!(config.ssl_mode, SslMode::Prefer);
        assert_eq!(config.connect_timeout, Duration::from_secs(10));
        assert_eq!(config.sessions_per_account, 10);
        assert_eq!(config.second_guess(), None);
        assert_eq!(
            config.endpoint(),
            Endpoint {
                kind: "postgres".into(),
                host: "db.example.com".into(),
                port: 5432,
                tls_floor: TlsFloor::None,
                authorities: None,
            }
        );
    }

    #[test]
    fn each_mode_promises_its_floor() {
        let table = [
            (SslMode::Disable, TlsFloor::None),
            (SslMode::Allow, TlsFloor::None),
            (SslMode::Prefer, TlsFloor::None),
            (SslMode::Require, TlsFloor::Encrypted),
            (SslMode::VerifyCa, TlsFloor::VerifiedChain),
            (SslMode::VerifyFull, TlsFloor::VerifiedName),
        ];
        for (mode, promised) in table {
            assert_eq!(floor(mode), promised, "{}", mode.word());
        }
    }

    #[test]
    fn the_misprinted_database_has_a_second_guess() {
        let config = Config::read(&settings(&[("hostname", "::1"), ("dbname", "postgre")])).unwrap();
        assert_eq!((config.database.as_str(), config.second_guess()), ("postgre", Some("postgres")));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = Config::read(&settings(&[
            ("hostname", "https://db"),
            ("port", "0"),
            ("sslmode", "verify_full"),
            ("connect_timeout", "1h"),
            ("sessions_per_account", "0"),
            ("host", "db"),
            ("ca_certificates", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        ]))
        .unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "ca_certificates",
                "ca_certificates",
                "connect_timeout",
                "host",
                "hostname",
                "port",
                "sessions_per_account",
                "sslmode"
            ]
        );
    }
}
