//! What a private PostgreSQL is started with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::folder::Folder;
use crate::tls;

/// Which statements the server writes to its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStatement {
    #[default]
    None,
    Ddl,
    Mod,
    All,
}

/// Whether a server has to speak TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Programs that are built without it are an error.
    #[default]
    Needed,
    /// Programs that are built without it make a server without it.
    AsBuilt,
}

/// How a private PostgreSQL differs from the usual one.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the programs; the usual search when empty.
    pub bin_dir: Option<PathBuf>,
    /// What goes to the server's log.
    pub log_statement: LogStatement,
    /// Whether it has to speak TLS.
    pub tls: Tls,
    /// How many sessions at once.
    pub max_connections: u16,
    /// Off makes writing fast and a power cut deadly: for tests that do not measure.
    pub fsync: bool,
    /// Further settings, which win over ours.
    pub settings: BTreeMap<String, String>,
    /// Lines that go before the usual ones of `pg_hba.conf`.
    pub hba: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bin_dir: None,
            log_statement: LogStatement::None,
            tls: Tls::Needed,
            max_connections: 200,
            fsync: true,
            settings: BTreeMap::new(),
            hba: vec![],
        }
    }
}

impl Options {
    /// The usual server without fsync: for tests that neither measure nor cut the power.
    pub fn for_tests() -> Self {
        Self { fsync: false, ..Self::default() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Appends the settings to the cluster's own files.
pub(crate) fn write(folder: &Folder, tls: Option<&tls::Identity>, options: &Options) -> anyhow::Result<()> {
    let data = folder.path().join("data");
    let conf = data.join("postgresql.conf");
    let text = conf_text(&folder.path().display().to_string(), tls, options)?;
    OpenOptions::new()
        .append(true)
        .open(&conf)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", conf.display()))?;
    if !options.hba.is_empty() {
        let hba = data.join("pg_hba.conf");
        let usual = fs::read_to_string(&hba).with_context(|| format!("read {}", hba.display()))?;
        fs::write(&hba, format!("{}\n{usual}", options.hba.join("\n")))
            .with_context(|| format!("write {}", hba.display()))?;
    }
    Ok(())
}

fn conf_text(folder: &str, tls: Option<&tls::Identity>, options: &Options) -> anyhow::Result<String> {
    let mut settings: BTreeMap<&str, String> = [
        ("fsync", if options.fsync { "on" } else { "off" }.to_owned()),
        ("listen_addresses", "127.0.0.1,::1".to_owned()),
        ("log_line_prefix", "%m [%p] %q%u@%d %a ".to_owned()),
        (
            "log_statement",
            match options.log_statement {
                LogStatement::None => "none",
                LogStatement::Ddl => "ddl",
                LogStatement::Mod => "mod",
                LogStatement::All => "all",
            }
            .to_owned(),
        ),
        ("log_timezone", "UTC".to_owned()),
        ("max_connections", options.max_connections.to_string()),
        ("max_prepared_transactions", "50".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("unix_socket_directories", folder.to_owned()),
    ]
    .into();
    if let Some(tls) = tls {
        settings.insert("ssl", "on".to_owned());
        settings.insert("ssl_cert_file", tls.certificate.display().to_string());
        settings.insert("ssl_key_file", tls.key.display().to_string());
    }
    if !options.fsync {
        settings.insert("full_page_writes", "off".to_owned());
        settings.insert("synchronous_commit", "off".to_owned());
    }
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let mut text = String::from("\n# private server\n");
    for (name, value) in settings {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        if !plain || name.is_empty() || value.contains(['\n', '\r', '\0']) {
            bail!(
                "setting {name:?} = {value:?} cannot be written to postgresql.conf: use a plain name and one line"
            );
        }
        writeln!(text, "{name} = '{}'", value.replace('\\', r"\\").replace('\'', "''"))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{Options, conf_text};
    use crate::tls::Identity;

    fn text(options: &Options) -> anyhow::Result<String> {
        let identity = Identity { authority: "/a".into(), certificate: "/c".into(), key: "/k".into() };
        conf_text("/tmp/it's", Some(&identity), options)
    }

    #[test]
    fn given_settings_win_and_are_quoted() {
        let written = text(&Options::default().set("ssl", "off").set("my.own", r"a'b\c")).unwrap();
        let table = [
            ("replaced", "ssl = 'off'\n", true),
            ("not twice", "ssl = 'on'\n", false),
            ("quoted", "my.own = 'a''b\\\\c'\n", true),
            ("folder quoted", "unix_socket_directories = '/tmp/it''s'\n", true),
            ("fsync stays on", "fsync = 'on'\n", true),
        ];
        for (name, line, expected) in table {
            assert_eq!(written.contains(line), expected, "{name} in {written}");
        }
        assert!(text(&Options::for_tests()).unwrap().contains("fsync = 'off'\n"));
    }

    #[test]
    fn what_would_break_out_of_its_line_is_refused() {
        for (name, value) in [("port\nssl", "1"), ("", "x"), ("a b", "x"), ("port", "1\nssl = 'off'")] {
            let refused = text(&Options::default().set(name, value));
            assert!(refused.is_err(), "{name:?} = {value:?}");
        }
    }
}
