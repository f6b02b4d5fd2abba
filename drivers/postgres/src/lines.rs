//! How a grantee connects, without the password: a URI, and a line for `psql`.

use std::collections::BTreeSet;

use driver::ConnectionLine;
use model::{AccountRef, EntitlementSet};

use crate::scope::Right;
use crate::settings::Config;

/// Writes two lines for each database that the entitlements are in, or for `home` when there is none.
pub(crate) fn connection_lines(
    config: &Config,
    home: &str,
    account: &AccountRef,
    entitlements: &EntitlementSet,
) -> Vec<ConnectionLine> {
    let mut databases: BTreeSet<String> = BTreeSet::new();
    for entitlement in entitlements.iter() {
        if let Ok(Right::Shared { scope, .. }) = Right::of(entitlement) {
            databases.insert(scope.database().to_owned());
        }
    }
    if databases.is_empty() {
        databases.insert(home.to_owned());
    }
    let mode = config.ssl_mode.word();
    let mut lines = vec![];
    for database in databases {
        let conninfo = format!(
            "host={} port={} dbname={} user={} sslmode={mode}",
            in_conninfo(&config.host.to_string()),
            config.port,
            in_conninfo(&database),
            in_conninfo(&account.name.0),
        );
        lines.push(ConnectionLine {
            label: "uri".into(),
            text: format!(
                "postgresql://{}@{}:{}/{}?sslmode={mode}",
                in_uri(&account.name.0),
                config.host.in_url(),
                config.port,
                in_uri(&database)
            ),
        });
        lines.push(ConnectionLine { label: "psql".into(), text: format!("psql {}", in_shell(&conninfo)) });
    }
    lines
}

/// Percent-encodes everything that is not unreserved.
fn in_uri(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Quotes a value of a connection string where it needs it.
fn in_conninfo(text: &str) -> String {
    if !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))
    {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Quotes one word for a POSIX shell.
fn in_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use driver::Settings;
    use model::{AccountId, AccountName, Entitlement, ResourceId};

    use super::*;
    use crate::scope::{READ_ONLY, TABLE};

    fn lines(host: &str, database: &str) -> Vec<String> {
        let settings: Settings =
            [("hostname".to_owned(), host.to_owned()), ("sslmode".to_owned(), "verify-full".to_owned())]
                .into_iter()
                .collect();
        let config = Config::read(&settings).unwrap();
        let account = AccountRef {
            id: AccountId::from_uuid(uuid::Uuid::from_u128(7)),
            name: AccountName("tidegate_ann_x".into()),
            immutable: None,
        };
        let wanted = [Entitlement::new(ResourceId::new(TABLE, [database, "s", "t"]), READ_ONLY)];
        let found = connection_lines(&config, "postgres", &account, &wanted.into_iter().collect());
        found.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_usual_database_needs_no_quotes() {
        assert_eq!(
            lines("db.example.com", "app"),
            [
                "postgresql://tidegate_ann_x@db.example.com:5432/app?sslmode=verify-full",
                "psql 'host=db.example.com port=5432 dbname=app user=tidegate_ann_x sslmode=verify-full'",
            ]
        );
    }

    #[test]
    fn a_hostile_name_stays_one_word_for_every_reader() {
        assert_eq!(
            lines("2001:db8::1", "a'b\\c $(id)?x=y"),
            [
                "postgresql://tidegate_ann_x@[2001:db8::1]:5432/a%27b%5Cc%20%24%28id%29%3Fx%3Dy?sslmode=verify-full",
                "psql 'host=2001:db8::1 port=5432 dbname='\\''a\\'\\''b\\\\c $(id)?x=y'\\'' user=tidegate_ann_x sslmode=verify-full'",
            ]
        );
    }
}
