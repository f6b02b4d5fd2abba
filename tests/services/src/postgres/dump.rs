//! A dump of all that a server holds, to compare byte for byte.

use std::process::Command;

use anyhow::Context as _;

use super::{A_SQL_CALL, Postgres};
use crate::run;

/// Newer programs write a random word into each dump unless they are given one.
const SAME_EACH_TIME: &str = "--restrict-key=tidegate";

impl Postgres {
    /// Dumps roles, tablespaces and settings, then each database that takes connections, with its rows.
    pub fn dump(&self) -> anyhow::Result<String> {
        let mut text = self.dump_with("pg_dumpall", &["--globals-only"], "postgres")?;
        let names = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname";
        for database in self.psql("postgres", names)?.lines() {
            text.push_str(&self.dump_with("pg_dump", &["--create"], database)?);
        }
        Ok(text)
    }

    fn dump_with(&self, program: &str, words: &[&str], database: &str) -> anyhow::Result<String> {
        let mut command = Command::new(self.bin_dir.join(program));
        command.args(words).args([SAME_EACH_TIME, "-d", &self.target(database)]);
        command.env("PGPASSFILE", self.pass_file()).env("PGCONNECT_TIMEOUT", "10").env("LC_ALL", "C");
        run::within(A_SQL_CALL, &mut command, "").with_context(|| format!("dump {database:?}"))
    }
}
