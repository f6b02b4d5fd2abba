//! The server of a journal that several instances share: apart from the target, so that one can be away alone.

use services::postgres::{self, Postgres};

/// Who the journal is used as.
pub const ROLE: &str = "journal_keeper";
/// Its password, on a server that lives as long as a test.
pub const PASSWORD: &str = "of-the-journals-server";
/// The file with both, beside the admin secrets.
pub const SECRET: &str = "journal.json";

const DATABASE: &str = "tidegate";

/// Starts it, with the journal's role and database.
pub(super) fn launch() -> anyhow::Result<Postgres> {
    let server = Postgres::launch(&postgres::Options::for_tests())?;
    server.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))?;
    server.psql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {ROLE}"))?;
    Ok(server)
}

/// What an agent is told of it.
pub(super) fn settings(server: &Postgres) -> Vec<String> {
    vec![
        "journal.kind=postgres".into(),
        format!("journal.server=localhost:{}", server.port()),
        format!("journal.secret=file://{SECRET}"),
        format!("journal.ca_file={}", server.ca_file().display()),
    ]
}
