//! Every key of the configuration: what it does, its default, its limits. The one list of them.
//!
//! The checks, `config show`, the file that `init` writes and the names of the environment's variables all
//! come from here, so that none can know a key that another does not.

use model::Span;

/// The longest path of a socket, in bytes: some systems take no more.
pub const LONGEST_SOCKET: usize = 103;

/// What a key's text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An id of 1 to 64 characters of `a-z A-Z 0-9 - _ .`.
    Id,
    /// `https://host[:port]`, without path, query or user.
    Url,
    /// An HTTP proxy, or where to look for one.
    Proxy,
    /// An absolute path.
    Path,
    /// An absolute path, short enough for a socket.
    Socket,
    /// An IP address and a port.
    Address,
    /// A length of time within limits, both included.
    Duration { least: Span, most: Span },
    /// A whole number within limits, both included.
    Whole { least: u64, most: u64 },
    /// `true` or `false`.
    Flag,
    /// `host` or `host:port`.
    Server,
    /// What a database is called.
    Database,
    /// What a schema is called: lower-case letters, digits and `_`.
    Schema,
    /// Where a secret is kept.
    Reference,
    /// A time zone by its name.
    Zone,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// With its section, for example `journal.dir`.
    pub name: &'static str,
    pub format: Format,
    /// `None` for what has to be given, and for what may be left out.
    pub default: Option<&'static str>,
    pub required: bool,
    /// What stands in the file that `init` writes when there is neither a value nor a default.
    pub example: &'static str,
    /// Effect, edge values, and who should change it.
    pub effect: &'static str,
    /// A reload takes a change; every other key needs a restart.
    pub live: bool,
}

impl Key {
    /// Returns the variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("{}{}", super::env::PREFIX, self.name.to_ascii_uppercase().replace('.', "_"))
    }

    /// Returns the section and the key within it; the section is empty at the top.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// Returns what the text may be, in words.
    pub fn limits(&self) -> String {
        match self.format {
            Format::Id => "1 to 64 characters of a-z, A-Z, 0-9, `-`, `_`, `.`".into(),
            Format::Url => "https://host or https://host:port".into(),
            Format::Proxy => "http://host:port, https://host:port, `environment` or `none`".into(),
            Format::Path => "an absolute path".into(),
            Format::Socket => format!("an absolute path of at most {LONGEST_SOCKET} bytes"),
            Format::Address => "an IP address and a port, for example 127.0.0.1:9464 or [::1]:9464".into(),
            Format::Duration { least, most } => {
                format!("a duration from {least} to {most}, written as 45s, 90m or 1h30m")
            }
            Format::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Format::Flag => "true or false".into(),
            Format::Server => "host or host:port, for example db.example.com:5432 or [::1]:5432".into(),
            Format::Database => "1 to 63 bytes without control characters".into(),
            Format::Schema => "1 to 63 of a-z, 0-9 and `_`, not beginning with a digit or `pg_`".into(),
            Format::Reference => {
                "file://PATH below `secrets.file_root`, or env://TIDEGATE_SECRET_NAME".into()
            }
            Format::Zone => "a time zone by its name, for example UTC or Europe/Berlin".into(),
            Format::Choice(words) => words.join(", "),
        }
    }
}

const fn key(name: &'static str, format: Format, effect: &'static str) -> Key {
    Key { name, format, default: None, required: false, example: "", effect, live: false }
}

impl Key {
    const fn required(self, example: &'static str) -> Self {
        Self { required: true, example, ..self }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    const fn optional(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}

const fn duration(least: Span, most: Span) -> Format {
    Format::Duration { least, most }
}

/// Every key, in the order of the file.
pub const KEYS: &[Key] = &[
    key("connector", Format::Id, "The connector's id, as the control plane knows it. It goes into marks on accounts: never change it.")
        .required("prod-eu-1"),
    key(
        "token_file",
        Format::Path,
        "The file with the connector's token, readable by the agent's user alone (chmod 600). The token itself never stands in a configuration. Read anew at each connection, so it can be replaced while the agent runs.",
    )
    .required("/etc/tidegate/token"),
    key("control_plane.url", Format::Url, "Where the control plane's service for connectors is.")
        .required("https://tidegate.example.com:8443"),
    key(
        "control_plane.ca_file",
        Format::Path,
        "Certificates (PEM) that the control plane's certificate must lead to. Left out: those of the system.",
    )
    .optional("/etc/tidegate/ca.pem"),
    key(
        "control_plane.allow_plain_http",
        Format::Flag,
        "For trials on one machine: allows http:// to 127.0.0.1, ::1 or localhost, without TLS. Never to another host.",
    )
    .or("false"),
    key(
        "control_plane.proxy",
        Format::Proxy,
        "The HTTP proxy through which the control plane is reached, by CONNECT: TLS runs through it to the control plane. With https:// the way to the proxy is TLS, too. `environment`: what HTTPS_PROXY or ALL_PROXY names, unless NO_PROXY leaves the control plane out. `none`: no proxy, whatever the environment says.",
    )
    .or("environment"),
    key(
        "control_plane.proxy_credentials_file",
        Format::Path,
        "The file with `user:password` for the proxy (Basic), readable by the agent's user alone (chmod 600). Read anew at each connection. Left out: no login.",
    )
    .optional("/etc/tidegate/proxy-login"),
    key(
        "control_plane.proxy_ca_file",
        Format::Path,
        "Certificates (PEM) that the certificate of an https:// proxy must lead to. Left out: those of the system.",
    )
    .optional("/etc/tidegate/proxy-ca.pem"),
    key(
        "control_plane.connect_deadline",
        duration(Span::from_secs(1), Span::from_secs(60)),
        "How long one try to connect may take, TLS and greeting included.",
    )
    .or("10s"),
    key(
        "control_plane.heartbeat",
        duration(Span::from_secs(1), Span::from_secs(30)),
        "How often the agent says that it is there, at the least; the control plane may ask for more.",
    )
    .or("5s"),
    key(
        "control_plane.redial_most",
        duration(Span::from_secs(1), Span::from_mins(10)),
        "The longest pause between two tries to connect. Pauses grow up to it and are spread at random.",
    )
    .or("30s"),
    key(
        "identity.dir",
        Format::Path,
        "The folder of the connector's keys and pins, made by `tidegate init`. Keep it on another volume than the journal, and back it up: with it alone the agent still knows what it has to close.",
    )
    .required("/var/lib/tidegate/identity"),
    key(
        "journal.dir",
        Format::Path,
        "The journal's own folder, on a local disk; made at the first start. With `journal.kind` postgres only the local socket is in it.",
    )
    .required("/var/lib/tidegate/journal"),
    key(
        "journal.kind",
        Format::Choice(&["sqlite", "postgres"]),
        "`sqlite`: a file in `journal.dir`, for one agent. `postgres`: a database that several instances of the connector share: one is active, the others stand by and take over within 15 s. A journal is not carried from one kind to the other: what the old one had open is found by its marks.",
    )
    .or("sqlite"),
    key(
        "journal.reserve_mib",
        Format::Whole { least: 0, most: 4096 },
        "For `journal.kind` sqlite: how many MiB are kept back on the volume, so that closing can still be recorded when it is full. 0 keeps none.",
    )
    .or("16"),
    key(
        "journal.most_mib",
        Format::Whole { least: 16, most: 1_048_576 },
        "For `journal.kind` sqlite: how many MiB the journal may grow to; nothing is opened beyond. Left out: the volume is the bound.",
    )
    .optional("4096"),
    key(
        "journal.server",
        Format::Server,
        "For `journal.kind` postgres: where the journal's PostgreSQL is. Port 5432 unless it is given. Required then.",
    )
    .optional("journal-db.example.com:5432"),
    key(
        "journal.database",
        Format::Database,
        "For `journal.kind` postgres: the database, in UTF-8.",
    )
    .or("tidegate"),
    key(
        "journal.schema",
        Format::Schema,
        "For `journal.kind` postgres: the schema of this connector's journal, made at the first start. Each connector needs its own.",
    )
    .or("tidegate"),
    key(
        "journal.secret",
        Format::Reference,
        "For `journal.kind` postgres: where `username` and `password` are kept. Read at each connection, so it can be replaced while the agent runs. Required then; the reference is bound to that server at its first use.",
    )
    .optional("file://journal.json"),
    key(
        "journal.sslmode",
        Format::Choice(&["disable", "require", "verify-ca", "verify-full"]),
        "For `journal.kind` postgres: how the connection is protected. Less than `verify-full` is for trials.",
    )
    .or("verify-full"),
    key(
        "journal.ca_file",
        Format::Path,
        "For `journal.kind` postgres: certificates (PEM) that the server's must lead to. Left out: those of the system.",
    )
    .optional("/etc/tidegate/journal-ca.pem"),
    key(
        "secrets.file_root",
        Format::Path,
        "The folder below which file:// references are read. Left out: there are no file:// references.",
    )
    .optional("/etc/tidegate/secrets"),
    key(
        "secrets.keep",
        duration(Span::ZERO, Span::from_hours(1)),
        "How long a secret that was read is kept in memory. 0s reads it at each use.",
    )
    .or("60s"),
    key(
        "secrets.deadline",
        duration(Span::from_secs(1), Span::from_mins(2)),
        "How long a secret store may take to answer.",
    )
    .or("10s"),
    key(
        "secrets.bindings",
        Format::Choice(&["first_use", "strict"]),
        "To which host a secret may be sent. `first_use`: to the one that it was first used for. `strict`: only where `tidegate bindings approve` allowed it before.",
    )
    .or("first_use"),
    key(
        "guardrails.file",
        Format::Path,
        "Policies in Cedar that say what may be opened, whoever orders it; see docs/guardrails.md and `tidegate guardrails check`. Writable by its owner alone. Looked at every few seconds; while it cannot be used, nothing is opened and closing goes on. Left out: there are none, and everything may be ordered.",
    )
    .optional("/etc/tidegate/guardrails.cedar"),
    key(
        "guardrails.time_zone",
        Format::Zone,
        "In which time zone guardrails speak of times of day and of weekdays.",
    )
    .or("UTC"),
    key(
        "guardrails.on_change",
        Format::Choice(&["end", "keep"]),
        "What becomes of open accesses that changed guardrails no longer allow. `end`: they end, or end earlier. `keep`: they live to their deadline and are not extended.",
    )
    .or("end"),
    key(
        "admin.listen",
        Format::Address,
        "Where /livez, /readyz, /healthz and /metrics are served, without login or secrets. Only containers need another address than loopback.",
    )
    .or("127.0.0.1:9464"),
    key(
        "admin.socket",
        Format::Socket,
        "The socket on which the agent's own commands (status, pause, close and others) reach it. Its folder must be open to the agent's user alone; it is made if there is none. Left out: admin/agent.sock in the journal's folder.",
    )
    .optional("/run/tidegate/agent.sock"),
    key("log.level", Format::Choice(&["error", "warn", "info", "debug", "trace"]), "How much the agent tells of itself. `debug` names people and objects. `tidegate log-level` changes it until the next start or reload.")
        .or("info")
        .live(),
    key(
        "log.format",
        Format::Choice(&["auto", "json", "text"]),
        "`json`: one object a line. `text`: for people. `auto`: text on a terminal, json elsewhere.",
    )
    .or("auto"),
    key(
        "shutdown.grace",
        duration(Span::from_secs(1), Span::from_mins(10)),
        "How long an ordered stop may take. Give the supervisor (systemd, Kubernetes) 5 s more.",
    )
    .or("20s")
    .live(),
    key(
        "engine.call_deadline",
        duration(Span::from_secs(1), Span::from_mins(5)),
        "How long one call to a target may take before its outcome counts as unknown and is read back.",
    )
    .or("30s"),
    key(
        "engine.listing_deadline",
        duration(Span::from_secs(10), Span::from_hours(6)),
        "How long a discovery or a survey of one target may take.",
    )
    .or("15m"),
    key(
        "engine.survey_every",
        duration(Span::from_mins(1), Span::from_days(7)),
        "How often each target is searched for accounts with our mark that should not be there.",
    )
    .or("1h"),
];

/// Returns the key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Returns the key whose name is nearest to a mistyped one, when one is near.
pub fn nearest(typed: &str) -> Option<&'static Key> {
    let typed = typed.replace(['.', '-'], "_");
    KEYS.iter()
        .map(|key| {
            let whole = distance(&typed, &key.name.replace('.', "_"));
            // The right key in the wrong section, or in none.
            let is_last = typed == key.parts().1 || typed.ends_with(&format!("_{}", key.parts().1));
            (if is_last { whole.min(1) } else { whole }, key)
        })
        .filter(|(far, _)| *far <= 2)
        .min_by_key(|(far, _)| *far)
        .map(|(_, key)| key)
}

/// How many letters have to be changed, added or left out to get from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, (to, pair)) in b.iter().zip(row.windows(2)).enumerate() {
            let &[diagonal, above] = pair else { continue };
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((diagonal + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_variables_and_texts_are_whole() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((names.len(), variables.len()), (KEYS.len(), KEYS.len()), "each is there once");
        for key in KEYS {
            assert!(key.effect.ends_with('.'), "{}", key.name);
            assert_eq!(key.required || key.default.is_none(), !key.example.is_empty(), "{}", key.name);
            assert!(!(key.required && key.default.is_some()), "{}", key.name);
        }
    }

    #[test]
    fn a_mistyped_key_is_guessed() {
        let table = [
            ("connecter", Some("connector")),
            ("journal.dri", Some("journal.dir")),
            ("token-file", Some("token_file")),
            ("control_plane.token_file", Some("token_file")),
            ("url", Some("control_plane.url")),
            ("password", None),
            ("x", None),
        ];
        for (typed, expected) in table {
            assert_eq!(nearest(typed).map(|key| key.name), expected, "{typed}");
        }
    }
}
