//! From texts to a checked configuration.
//!
//! Each read gives a value at once, a stand-in where there is a fault; no stand-in is ever used, because
//! [`checked`] then refuses.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};

use model::{ConnectorId, Span};
use pg::SslMode;
use rules::Living;
use secrets::binding::{HostPattern, Mode};
use secrets::{Reference, Scheme};
use tonic::transport::Uri;
use tracing::Level;

use super::keys::{self, Format};
use super::proxy::{Named, Unfit, named};
use super::{
    Config, ConfigFault, ControlPlane, Engine, Given, Guardrails, Journal, JournalKind, Log, LogFormat,
    Origin, Proxy, Secrets, SharedJournal, default_socket,
};

/// Checks all texts; `faults` are those that reading found.
pub(super) fn checked(
    given: &BTreeMap<&'static str, Given>,
    environment: &BTreeMap<String, String>,
    faults: Vec<ConfigFault>,
    is_torn: bool,
) -> Result<Config, Vec<ConfigFault>> {
    let mut reader = Reader { given, environment, faults, is_torn };
    let config = reader.config();
    let mut faults = reader.faults;
    faults.sort();
    faults.dedup();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        Some(_) | None => Err(faults),
    }
}

struct Reader<'g> {
    given: &'g BTreeMap<&'static str, Given>,
    environment: &'g BTreeMap<String, String>,
    faults: Vec<ConfigFault>,
    is_torn: bool,
}

impl Reader<'_> {
    /// Reads every key; `None` when there is a fault for which nothing can stand in.
    fn config(&mut self) -> Option<Config> {
        let connector = self.id("connector");
        let token_file = self.path("token_file");
        let url = self.url("control_plane.url", "control_plane.allow_plain_http");
        let control_plane = ControlPlane {
            proxy: self.proxy(&url),
            url,
            ca_file: self.path_if("control_plane.ca_file"),
            connect_deadline: self.duration("control_plane.connect_deadline").as_std(),
            heartbeat: self.duration("control_plane.heartbeat").as_std(),
            redial_most: self.duration("control_plane.redial_most").as_std(),
        };
        let identity_dir = self.path("identity.dir");
        let (journal_dir, journal_kind) = (self.path("journal.dir"), self.journal());
        let secrets = Secrets {
            file_root: self.path_if("secrets.file_root"),
            keep: self.duration("secrets.keep"),
            deadline: self.duration("secrets.deadline").as_std(),
            bindings: self.choice("secrets.bindings", &BINDINGS, Mode::Strict),
        };
        let guardrails = self.guardrails();
        let admin_listen = self.address("admin.listen");
        let admin_socket = self.socket("admin.socket").unwrap_or_else(|| default_socket(&journal_dir));
        let log = Log {
            level: self.choice("log.level", &LEVELS, Level::INFO),
            format: self.choice("log.format", &FORMATS, LogFormat::Auto),
        };
        let shutdown_grace = self.duration("shutdown.grace").as_std();
        let engine = Engine {
            call_deadline: self.duration("engine.call_deadline").as_std(),
            listing_deadline: self.duration("engine.listing_deadline").as_std(),
            survey_every: self.duration("engine.survey_every"),
        };
        self.apart(&identity_dir, &journal_dir, secrets.file_root.as_deref());
        Some(Config {
            connector: connector?,
            token_file,
            control_plane,
            identity_dir,
            journal: Journal { dir: journal_dir, kind: journal_kind? },
            secrets,
            guardrails,
            admin_listen,
            admin_socket,
            log,
            shutdown_grace,
            engine,
        })
    }

    /// Reads through what the control plane is reached.
    fn proxy(&mut self, to: &Uri) -> Option<Proxy> {
        const NAME: &str = "control_plane.proxy";
        let credentials_file = self.path_if("control_plane.proxy_credentials_file");
        let ca_file = self.path_if("control_plane.proxy_ca_file");
        let text = self.text(NAME)?;
        let Named { url, variable } = named(&text, to, self.environment)?;
        match url {
            Ok(url) => Some(Proxy { url, credentials_file, ca_file }),
            Err(Unfit { reason, way_out }) => {
                match variable {
                    Some(variable) => self.faults.push(ConfigFault {
                        key: NAME.into(),
                        origin: Origin::Environment { variable: variable.into() },
                        reason: reason.into(),
                        way_out: format!("{way_out}, or set `{NAME}`"),
                    }),
                    None => self.fault(NAME, reason, way_out),
                }
                None
            }
        }
    }

    /// Reads what the journal is kept in; keys of another kind would do nothing and are refused.
    fn journal(&mut self) -> Option<JournalKind> {
        let is_shared = self.choice("journal.kind", &KINDS, false);
        let (others, kind) =
            if is_shared { (&OF_SQLITE[..], "sqlite") } else { (&OF_POSTGRES[..], "postgres") };
        for name in others.iter().filter(|name| self.given.contains_key(*name)) {
            self.fault(
                name,
                format!("is for `journal.kind` {kind} alone"),
                format!("leave it out, or set `journal.kind` to {kind}"),
            );
        }
        if !is_shared {
            return Some(JournalKind::Sqlite {
                reserve_bytes: mib(self.whole("journal.reserve_mib").unwrap_or_default()),
                most_bytes: self.whole("journal.most_mib").map(mib),
            });
        }
        for name in ["journal.server", "journal.secret"] {
            if !self.given.contains_key(name) {
                self.misfit(name, "is missing, and `journal.kind` postgres needs it");
            }
        }
        let (host, port) = self.server("journal.server");
        let database = self.database("journal.database");
        let schema = self.schema("journal.schema");
        let secret = self.reference("journal.secret");
        let sslmode = self.choice("journal.sslmode", &SSL_MODES, SslMode::VerifyFull);
        let ca_file = self.path_if("journal.ca_file");
        let secret = secret?;
        Some(JournalKind::Postgres(Box::new(SharedJournal {
            host,
            port,
            database,
            schema,
            secret,
            sslmode,
            ca_file,
        })))
    }

    /// Where the guardrails are; the other keys would do nothing without a file.
    fn guardrails(&mut self) -> Option<Guardrails> {
        let file = self.path_if("guardrails.file");
        let time_zone = self.zone("guardrails.time_zone");
        let living = self.choice("guardrails.on_change", &ON_CHANGE, Living::Ends);
        if file.is_none() {
            for name in ["guardrails.time_zone", "guardrails.on_change"] {
                if self.given.contains_key(name) {
                    self.fault(
                        name,
                        "does nothing without guardrails",
                        "set `guardrails.file`, or leave it out",
                    );
                }
            }
        }
        Some(Guardrails { file: file?, time_zone, living })
    }

    fn zone(&mut self, name: &'static str) -> String {
        let text = self.text(name).unwrap_or_default();
        if text != "UTC" && jiff::tz::TimeZone::get(&text).is_err() {
            self.misfit(name, "is not a time zone that this machine knows");
        }
        text
    }

    /// The folders that must not lie within one another.
    fn apart(&mut self, identity: &Path, journal: &Path, secrets: Option<&Path>) {
        let mut folders = vec![("identity.dir", identity), ("journal.dir", journal)];
        folders.extend(secrets.map(|root| ("secrets.file_root", root)));
        for (at, (first, one)) in folders.iter().enumerate() {
            for (second, other) in folders.iter().skip(at + 1) {
                let is_within = one.starts_with(other) || other.starts_with(one);
                if is_within && one.is_absolute() && other.is_absolute() {
                    self.fault(
                        second,
                        format!("shares its folder with `{first}`"),
                        "give each a folder of its own, neither within the other",
                    );
                }
            }
        }
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        if let Some(given) = self.given.get(name) {
            return Some(given.text.trim().to_owned());
        }
        let key = keys::find(name)?;
        let is_told = self.faults.iter().any(|fault| fault.key == name);
        if key.required && !self.is_torn && !is_told {
            self.fault(name, "is missing", format!("give {}, or set {}", key.limits(), key.variable()));
        }
        key.default.map(str::to_owned)
    }

    fn fault(&mut self, name: &str, reason: impl Into<String>, way_out: impl Into<String>) {
        let origin = match self.given.get(name) {
            Some(given) => given.origin.clone(),
            None => Origin::Missing,
        };
        self.faults.push(ConfigFault {
            key: name.into(),
            origin,
            reason: reason.into(),
            way_out: way_out.into(),
        });
    }

    fn misfit(&mut self, name: &'static str, reason: &str) {
        let limits = keys::find(name).map(keys::Key::limits).unwrap_or_default();
        self.fault(name, reason, format!("give {limits}"));
    }

    fn id(&mut self, name: &'static str) -> Option<ConnectorId> {
        let checked = ConnectorId::parse(self.text(name)?);
        if checked.is_err() {
            self.misfit(name, "is not an id");
        }
        checked.ok()
    }

    fn path_if(&mut self, name: &'static str) -> Option<PathBuf> {
        let text = self.text(name)?;
        let path = Path::new(&text);
        if !path.is_absolute() || text.contains('\0') {
            self.misfit(name, "is not an absolute path");
        } else if path.components().any(|part| part == Component::ParentDir) {
            self.fault(name, "has a `..` in it", "write the path that is meant");
        }
        Some(path.into())
    }

    fn path(&mut self, name: &'static str) -> PathBuf {
        self.path_if(name).unwrap_or_default()
    }

    fn socket(&mut self, name: &'static str) -> Option<PathBuf> {
        let path = self.path_if(name)?;
        if path.as_os_str().len() > keys::LONGEST_SOCKET || path.file_name().is_none() {
            self.misfit(name, "is not the path of a socket");
        }
        Some(path)
    }

    fn duration(&mut self, name: &'static str) -> Span {
        let Some(text) = self.text(name) else { return Span::ZERO };
        match (text.parse::<Span>(), keys::find(name).map(|key| key.format)) {
            (Ok(span), Some(Format::Duration { least, most })) => {
                if !(least..=most).contains(&span) {
                    self.misfit(name, "is out of its limits");
                }
                span
            }
            _ => {
                self.misfit(name, "is not a duration");
                Span::ZERO
            }
        }
    }

    fn whole(&mut self, name: &'static str) -> Option<u64> {
        let text = self.text(name)?;
        let limits = keys::find(name).map(|key| key.format);
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match (text.parse::<u64>(), limits) {
            (Ok(number), Some(Format::Whole { least, most }))
                if is_plain && (least..=most).contains(&number) =>
            {
                Some(number)
            }
            _ => {
                self.misfit(name, "is out of its limits");
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str) -> bool {
        match self.text(name).as_deref() {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => {
                self.misfit(name, "is neither yes nor no");
                false
            }
        }
    }

    fn choice<T: Copy>(&mut self, name: &'static str, table: &[(&str, T)], stand_in: T) -> T {
        let Some(text) = self.text(name) else { return stand_in };
        match table.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                self.misfit(name, "is none of the allowed words");
                stand_in
            }
        }
    }

    fn address(&mut self, name: &'static str) -> SocketAddr {
        let stand_in = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let Some(text) = self.text(name) else { return stand_in };
        text.parse().unwrap_or_else(|_| {
            self.misfit(name, "is not an address with a port");
            stand_in
        })
    }

    fn server(&mut self, name: &'static str) -> (String, u16) {
        let stand_in = (String::new(), POSTGRES_PORT);
        let Some(text) = self.text(name) else { return stand_in };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text.as_str(), None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = match port {
            None => Some(POSTGRES_PORT),
            Some(port) => {
                port.parse().ok().filter(|number| *number > 0 && port.bytes().all(|b| b.is_ascii_digit()))
            }
        };
        match (HostPattern::exact(bare), port) {
            (Ok(_), Some(port)) => (bare.to_owned(), port),
            _ => {
                self.misfit(name, "is not a server");
                stand_in
            }
        }
    }

    fn database(&mut self, name: &'static str) -> String {
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
            self.misfit(name, "is not the name of a database");
        }
        text
    }

    fn schema(&mut self, name: &'static str) -> String {
        let text = self.text(name).unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if !begins || text.starts_with("pg_") || text.len() > LONGEST_NAME || !text.bytes().all(fits) {
            self.misfit(name, "is not the name of a schema");
        }
        text
    }

    fn reference(&mut self, name: &'static str) -> Option<Reference> {
        let found = Reference::parse(&self.text(name)?).ok();
        let found = found.filter(|reference| reference.scheme() != Scheme::Sealed);
        if found.is_none() {
            self.misfit(name, "is not a reference to a secret that the agent reads by itself");
        }
        found
    }

    fn url(&mut self, name: &'static str, plain: &'static str) -> Uri {
        let plain_allowed = self.flag(plain);
        let Some(text) = self.text(name) else { return Uri::default() };
        let Ok(url) = text.parse::<Uri>() else {
            self.misfit(name, "is not a URL");
            return Uri::default();
        };
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            self.misfit(name, "is not a URL with scheme and host");
            return url;
        };
        if authority.as_str().contains('@') {
            self.fault(name, "has a user in it", "leave it out: the token is in `token_file`");
        }
        if authority.host().is_empty() || (has_port(authority.as_str()) && authority.port_u16().is_none()) {
            self.misfit(name, "has no host, or a port that is none");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            self.misfit(name, "has a path or a query");
        }
        match scheme {
            "https" => {}
            "http" if !plain_allowed => self.fault(
                name,
                "is without TLS",
                format!("give https://, or for a trial on one machine set `{plain}`"),
            ),
            "http" if !is_this_machine(authority.host()) => self.fault(
                name,
                "is without TLS and to another machine",
                "give https://; without TLS only 127.0.0.1, ::1 and localhost are reached",
            ),
            "http" => {}
            _ => self.misfit(name, "is neither https nor http"),
        }
        url
    }
}

const POSTGRES_PORT: u16 = 5432;
/// PostgreSQL cuts longer names.
const LONGEST_NAME: usize = 63;
const KINDS: [(&str, bool); 2] = [("sqlite", false), ("postgres", true)];
const OF_SQLITE: [&str; 2] = ["journal.reserve_mib", "journal.most_mib"];
const OF_POSTGRES: [&str; 6] = [
    "journal.server",
    "journal.database",
    "journal.schema",
    "journal.secret",
    "journal.sslmode",
    "journal.ca_file",
];
const SSL_MODES: [(&str, SslMode); 4] = [
    ("disable", SslMode::Disable),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];
const ON_CHANGE: [(&str, Living); 2] = [("end", Living::Ends), ("keep", Living::IsNotExtended)];
const BINDINGS: [(&str, Mode); 2] = [("first_use", Mode::FirstUse), ("strict", Mode::Strict)];
const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// Returns the log level of that name.
pub fn level(word: &str) -> Option<Level> {
    LEVELS.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
}

const fn mib(number: u64) -> u64 {
    number.saturating_mul(1024 * 1024)
}

/// Returns true when something stands after the host's colon, whatever it is.
fn has_port(authority: &str) -> bool {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    place.rsplit_once(']').map_or(place, |(_, after)| after).contains(':')
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
