//! Tables of configurations: what is taken, what is refused, who wins.

use std::collections::BTreeSet;

use super::keys::KEYS;
use super::*;

const GOOD: &str = r#"
connector = "prod-eu-1"
token_file = "/etc/tidegate/token"
[control_plane]
url = "https://cp.example.com:8443"
[identity]
dir = "/var/lib/tidegate/identity"
[journal]
dir = "/var/lib/tidegate/journal"
"#;

fn sources(file: &str) -> Sources {
    Sources { file: Some(("/etc/tidegate.toml".into(), file.into())), ..Sources::default() }
}

fn with(line: &str) -> Result<Config, Vec<ConfigFault>> {
    let mut sources = sources(GOOD);
    let (key, text) = line.split_once('=').unwrap();
    sources.flags = vec![(key.into(), text.into())];
    Config::load(&sources)
}

fn refusals(given: &Sources) -> Vec<String> {
    Config::load(given).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_least_file_gives_all_defaults() {
    let config = Config::load(&sources(GOOD)).unwrap();
    assert_eq!(config.connector.as_str(), "prod-eu-1");
    assert_eq!(config.control_plane.url.to_string(), "https://cp.example.com:8443/");
    assert_eq!(config.control_plane.redial_most, Duration::from_secs(30));
    assert_eq!(config.secrets.bindings, Mode::FirstUse);
    assert_eq!(config.admin_listen, "127.0.0.1:9464".parse().unwrap());
    assert_eq!(config.journal.kind, JournalKind::Sqlite { reserve_bytes: 16 << 20, most_bytes: None });
    assert_eq!(config.log.level, tracing::Level::INFO);
}

#[test]
fn every_default_and_example_is_within_its_limits() {
    for kind in ["sqlite", "postgres"] {
        let of = |key: &super::keys::Key| {
            let text = if key.name == "journal.kind" { kind } else { key.default.unwrap_or(key.example) };
            (key.name.to_owned(), text.to_owned())
        };
        let all = Sources { flags: KEYS.iter().map(of).collect(), ..Sources::default() };
        // What is for the other kind of journal is refused for that alone.
        let faults = Config::load(&all).unwrap_err();
        assert!(faults.iter().all(|fault| fault.reason.contains("`journal.kind`")), "{kind}: {faults:?}");
    }
}

#[test]
fn each_key_is_held_to_its_limits() {
    let table = [
        ("connector=a b", false),
        ("connector=ÄÖ", false),
        ("token_file=token", false),
        ("token_file=/a/../token", false),
        ("control_plane.url=https://[::1]:8443", true),
        ("control_plane.url=https://[::1]", true),
        ("control_plane.url=https://host/", true),
        ("control_plane.url=https://host/api", false),
        ("control_plane.url=https://host?x=1", false),
        ("control_plane.url=https://ann:pw@host", false),
        ("control_plane.url=https://host:99999", false),
        ("control_plane.url=host:8443", false),
        ("control_plane.url=host", false),
        ("control_plane.url=ftp://host", false),
        ("control_plane.url=http://127.0.0.1:1", false),
        ("control_plane.url=https://", false),
        ("control_plane.proxy=http://proxy:3128", true),
        ("control_plane.proxy=https://[::1]", true),
        ("control_plane.proxy=none", true),
        ("control_plane.proxy=proxy:3128", false),
        ("control_plane.proxy=socks5://proxy:1080", false),
        ("control_plane.proxy=http://ann:pw@proxy", false),
        ("control_plane.proxy_credentials_file=login", false),
        ("control_plane.connect_deadline=60s", true),
        ("control_plane.connect_deadline=61s", false),
        ("control_plane.connect_deadline=0s", false),
        ("control_plane.connect_deadline=5", false),
        ("control_plane.allow_plain_http=yes", false),
        ("journal.reserve_mib=0", true),
        ("journal.reserve_mib=-1", false),
        ("journal.reserve_mib=+1", false),
        ("journal.reserve_mib=4097", false),
        ("journal.reserve_mib=99999999999999999999", false),
        ("journal.most_mib=15", false),
        ("identity.dir=/var/lib/tidegate/journal", false),
        ("identity.dir=/var/lib/tidegate", false),
        ("journal.dir=/var/lib/tidegate/journal2", true),
        ("secrets.file_root=/var/lib/tidegate/identity/secrets", false),
        ("secrets.keep=0s", true),
        ("secrets.bindings=none", false),
        ("admin.listen=[::]:9464", true),
        ("admin.listen=localhost:9464", false),
        ("admin.listen=127.0.0.1", false),
        ("log.level=info,h2=trace", false),
        ("engine.call_deadline=500ms", false),
        ("shutdown.grace=90m", false),
        // Blank counts as not given.
        ("control_plane.connect_deadline= ", true),
        ("journal.most_mib=", true),
    ];
    for (line, taken) in table {
        assert_eq!(with(line).is_ok(), taken, "{line}: {:?}", with(line).err());
    }
}

#[test]
fn without_tls_only_this_machine_is_reached_and_only_when_allowed() {
    let table = [
        ("http://127.0.0.1:8080", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:8080", true),
        ("http://LocalHost:8080", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
        ("http://[fe80::1]", false),
    ];
    for (url, taken) in table {
        let mut given = sources(GOOD);
        given.flags = vec![
            ("control_plane.url".into(), url.into()),
            ("control_plane.allow_plain_http".into(), "true".into()),
        ];
        assert_eq!(Config::load(&given).is_ok(), taken, "{url}");
    }
}

#[test]
fn the_later_place_wins_and_is_named() {
    let mut given = sources(&format!("{GOOD}\n[log]\nlevel = \"warn\"\n[shutdown]\ngrace = \"1m\""));
    let environment = [("TIDEGATE_LOG_LEVEL", "debug"), ("TIDEGATE_SHUTDOWN_GRACE", "2m")];
    given.environment = environment.map(|(name, text)| (name.into(), text.into())).into();
    given.flags = vec![("shutdown.grace".into(), "3m".into()), ("shutdown.grace".into(), "4m".into())];
    let config = Config::load(&given).unwrap();
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    assert_eq!(config.shutdown_grace, Duration::from_secs(240));
    let origin = |key| settings(&given).into_iter().find(|row| row.key == key).unwrap().origin.to_string();
    let table = [
        ("connector", "/etc/tidegate.toml:2"),
        ("log.level", "environment TIDEGATE_LOG_LEVEL"),
        ("shutdown.grace", "--set"),
        ("log.format", "default"),
        ("secrets.file_root", "not given"),
    ];
    for (key, expected) in table {
        assert_eq!(origin(key), expected, "{key}");
    }
}

#[test]
fn all_faults_are_told_at_once_with_place_and_way_out() {
    let mut given = sources(
        "connecter = \"x\"\n[journal]\ndir = \"/j\"\nsize = 3\n[control_plane]\nurl = [\"a\"]\nredial_most = \"1h\"\n[other]\nkey = 1\n",
    );
    given.environment = [("TIDEGATE_JOURNAL_DRI", "/x"), ("TIDEGATE_TOKEN_FILE", "rel")]
        .map(|(name, text)| (name.into(), text.into()))
        .into();
    given.flags = vec![("nonsense".into(), "1".into())];
    assert_eq!(
        refusals(&given),
        [
            "/etc/tidegate.toml:1: `connecter` is not a key of this build: did you mean `connector`?",
            "not given: `connector` is missing: give 1 to 64 characters of a-z, A-Z, 0-9, `-`, `_`, `.`, or set TIDEGATE_CONNECTOR",
            "/etc/tidegate.toml:7: `control_plane.redial_most` is out of its limits: give a duration from 1s to 10m, written as 45s, 90m or 1h30m",
            "/etc/tidegate.toml:6: `control_plane.url` is not a text, whole number, true or false: give https://host or https://host:port",
            "not given: `identity.dir` is missing: give an absolute path, or set TIDEGATE_IDENTITY_DIR",
            "/etc/tidegate.toml:4: `journal.size` is not a key of this build: remove it; `tidegate config show` lists every key",
            "environment TIDEGATE_JOURNAL_DRI: `journal_dri` is not a key of this build: did you mean TIDEGATE_JOURNAL_DIR?",
            "--set: `nonsense` is not a key of this build: remove it; `tidegate config show` lists every key",
            "/etc/tidegate.toml:8: `other` is not a key of this build: remove it; `tidegate config show` lists every key",
            "environment TIDEGATE_TOKEN_FILE: `token_file` is not an absolute path: give an absolute path",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_by_line_and_never_quoted() {
    let mut given = sources(&format!("{GOOD}\npassword = hunter2 hunter3\n[log]\nlevel = \"loud\"\n"));
    let told = refusals(&given);
    assert!(told.iter().any(|line| line.starts_with("/etc/tidegate.toml:11: is not TOML")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("`log.level` is none of the allowed words")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("hunter")), "{told:?}");
    // What follows the tear may hold the key after all: it is not called missing.
    given.file = Some(("/f".into(), "connector = \"a\nx".into()));
    assert!(!refusals(&given).iter().any(|line| line.contains("is missing")));
}

#[test]
fn a_refused_value_is_neither_told_nor_shown() {
    let mut given = sources(GOOD);
    given.flags = KEYS.iter().map(|key| (key.name.into(), "hunter2 hunter2".into())).collect();
    let told = refusals(&given).join("\n");
    let shown = format!("{:?}", settings(&given));
    assert!(!told.contains("hunter2") && !shown.contains("hunter2"), "{told}\n{shown}");
    assert_eq!(refusals(&given).len(), KEYS.len(), "{told}");
}

#[test]
fn of_the_environment_only_our_own_is_looked_at() {
    let table = [
        ("PATH", true),
        ("TIDEGATE_SECRET_PG", true),
        ("TIDEGATE_CONFIG", true),
        ("TIDEGATE_POSTGRES_BIN", true),
        ("TIDEGATE_CONTROL_DATABASE", true),
        ("TIDEGATECTL_CONFIG", true),
        ("TIDEGATE_SERVICE_HOST", true),
        ("TIDEGATE_METRICS_SERVICE_PORT_HTTP", true),
        ("TIDEGATE_PORT", true),
        ("TIDEGATE_PORT_9464_TCP", true),
        ("TIDEGATE_PORT_9464_TCP_ADDR", true),
        ("TIDEGATE_PORT_9464_TCP_OTHER", false),
        ("TIDEGATE_PORT_X_TCP", false),
        ("TIDEGATE_CONTROL_PLANE_URI", false),
        ("TIDEGATE_TOKEN", false),
        ("TIDEGATE_", false),
    ];
    for (name, taken) in table {
        let mut given = sources(GOOD);
        given.environment = BTreeMap::from([(name.into(), "x".into())]);
        assert_eq!(Config::load(&given).is_ok(), taken, "{name}");
    }
}

#[test]
fn the_file_that_is_written_reads_back_and_names_every_key() {
    let values = BTreeMap::from([
        ("connector", "prod-eu-1".to_owned()),
        ("token_file", "/etc/tide\"gate/tok en".to_owned()),
        ("control_plane.url", "https://cp.example.com".to_owned()),
        ("identity.dir", "/i".to_owned()),
        ("journal.dir", "/j".to_owned()),
    ]);
    let file = render(&values);
    let config = Config::load(&sources(&file)).unwrap();
    assert_eq!(config.token_file, PathBuf::from("/etc/tide\"gate/tok en"));
    for key in KEYS {
        let (_, name) = key.parts();
        let line = if values.contains_key(key.name) { name.to_owned() } else { format!("#{name}") };
        assert!(file.lines().any(|text| text.starts_with(&format!("{line} = "))), "{}", key.name);
        assert!(file.contains(&key.variable()), "{}", key.name);
    }
    // Each with its effect, its limits, its default, and whether a reload takes it.
    let comments: Vec<_> = file.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let comments = comments.join(" ");
    for key in KEYS {
        let default = match (key.required, key.default) {
            (true, _) => "Required.".to_owned(),
            (false, Some(default)) => format!("Default: {default}."),
            (false, None) => "Optional.".to_owned(),
        };
        let live = if key.live { ". A reload takes a change" } else { "" };
        let told =
            format!("{} Value: {}. {default} Variable: {}{live}", key.effect, key.limits(), key.variable());
        assert!(comments.contains(&told), "{told}");
    }
    assert!(file.lines().all(|line| line.chars().count() <= 110), "{file}");
    // With every key uncommented it still holds.
    let all: Vec<_> = file
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect();
    let keys: BTreeSet<_> = settings(&sources(&all.join("\n")))
        .into_iter()
        .filter(|row| matches!(row.origin, Origin::File { .. }))
        .map(|row| row.key)
        .collect();
    assert_eq!(keys.len(), KEYS.len());
    // So it does for either kind of journal, but for what is the other kind's.
    for (kind, foreign) in [("sqlite", 6), ("postgres", 2)] {
        let all = all.join("\n").replace("kind = \"sqlite\"", &format!("kind = \"{kind}\""));
        let faults = refusals(&sources(&all));
        assert_eq!(faults.len(), foreign, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("`journal.kind`")), "{faults:?}");
    }
}

#[test]
fn a_shared_journal_is_read_whole() {
    let shared = |lines: &[&str]| {
        let mut sources = sources(GOOD);
        let base =
            ["journal.kind=postgres", "journal.server=db.example.com", "journal.secret=file://journal.json"];
        sources.flags = base
            .iter()
            .chain(lines)
            .map(|line| line.split_once('=').unwrap())
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect();
        Config::load(&sources)
    };
    let JournalKind::Postgres(found) = shared(&[]).unwrap().journal.kind else { panic!("it is a file") };
    assert_eq!((found.host.as_str(), found.port), ("db.example.com", 5432));
    assert_eq!((found.database.as_str(), found.schema.as_str()), ("tidegate", "tidegate"));
    assert_eq!((found.sslmode, found.ca_file), (SslMode::VerifyFull, None));
    let table = [
        ("journal.server=db.example.com:6432", true),
        ("journal.server=10.0.0.1", true),
        ("journal.server=[fd00::1]:5432", true),
        ("journal.server=fd00::1", true),
        ("journal.server=db:0", false),
        ("journal.server=db:+5", false),
        ("journal.server=db:70000", false),
        ("journal.server=postgres://db", false),
        ("journal.server=user@db", false),
        ("journal.schema=harbour_1", true),
        ("journal.schema=Harbour", false),
        ("journal.schema=1harbour", false),
        ("journal.schema=pg_harbour", false),
        ("journal.schema=a\"; DROP TABLE head; --", false),
        ("journal.database=My Journals", true),
        ("journal.secret=env://TIDEGATE_SECRET_JOURNAL", true),
        ("journal.secret=hunter2", false),
        ("journal.secret=sealed://AAAA", false),
        ("journal.sslmode=require", true),
        ("journal.sslmode=prefer", false),
        ("journal.ca_file=ca.pem", false),
        ("journal.reserve_mib=16", false),
        ("journal.kind=mysql", false),
    ];
    for (line, taken) in table {
        let found = shared(&[line]);
        assert_eq!(found.is_ok(), taken, "{line}: {:?}", found.err());
    }
    for missing in ["journal.server", "journal.secret"] {
        let mut sources = sources(GOOD);
        let whole = [
            ("journal.kind", "postgres"),
            ("journal.server", "db"),
            ("journal.secret", "file://journal.json"),
        ];
        let given = whole.into_iter().filter(|(key, _)| *key != missing);
        sources.flags = given.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
        let told = refusals(&sources);
        assert!(told.len() == 1 && told[0].contains(missing), "{told:?}");
    }
    // What only a shared journal has says so beside a file.
    assert!(
        with("journal.sslmode=require").unwrap_err()[0].to_string().contains("`journal.kind` to postgres")
    );
}

#[test]
fn fuzz_configurations() {
    let every: String = KEYS.iter().map(|key| format!("{} = \"1s\"\n", key.name)).collect();
    fuzz::hammer_text("configurations", &[GOOD, &every], |text| {
        if let Err(faults) = Config::load(&sources(text)) {
            assert!(!faults.is_empty(), "refused without a reason");
        }
    });
}
