//! Ending what earlier instances of this connector still have open here: the one that was stopped in the middle of a
//! call finds its connection gone when it goes on.
//!
//! A session says whose it is by its application name. Only sessions of our own role are looked at, which is all that
//! an instance of ours can have, and all that every role may see and end.

use std::time::Duration;

use driver::{Predecessors, naming};
use model::{Code, Failure};
use tokio::time::{Instant, sleep};

use crate::account::column;
use crate::faults::Fault;
use crate::session::{Purpose, Session};
use crate::target::PostgresTarget;

/// How long they may take to end: they roll back what they had begun.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two rounds.
const BREATH: Duration = Duration::from_millis(20);
/// The names of our role's sessions in all databases.
const NAMES: &str = "SELECT a.pid, a.application_name FROM pg_stat_activity AS a \
    WHERE a.usename = session_user AND a.pid <> pg_backend_pid() AND left(a.application_name, length($1::text)) = $1::text";
/// Asked for by name again, so that a process which has got another session's number meanwhile is left alone.
const END: &str = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a \
    WHERE a.usename = session_user AND a.pid = $1 AND a.application_name = $2";

impl PostgresTarget {
    /// Ends all sessions of this connector's earlier epochs.
    ///
    /// # Errors
    /// [`Code::SESSIONS_REMAIN`] when some do not end in time.
    pub(crate) async fn end_older_sessions(&self) -> Result<Predecessors, Fault> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let outcome = self.end_older(&session).await;
        session.settle(outcome).await
    }

    async fn end_older(&self, session: &Session) -> Result<Predecessors, Fault> {
        let (prefix, ours) = (naming::sessions_of(&self.context.connector), self.context.caller.epoch);
        let (began, mut ended) = (Instant::now(), 0_u32);
        loop {
            let mut older = vec![];
            for row in session.rows(NAMES, &[&prefix]).await? {
                let (pid, name): (i32, String) = (column(&row, 0)?, column(&row, 1)?);
                if is_older(&name, &prefix, ours) {
                    older.push((pid, name));
                }
            }
            if older.is_empty() {
                return Ok(Predecessors::Ended { sessions: ended });
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::not_done(
                    Code::SESSIONS_REMAIN,
                    format!("{} sessions of an earlier instance do not end", older.len()),
                )
                .into());
            }
            for (pid, name) in &older {
                let told = session.rows(END, &[pid, name]).await?;
                ended = ended.saturating_add(u32::try_from(told.len()).unwrap_or(u32::MAX));
            }
            sleep(BREATH).await;
        }
    }
}

/// Decides whether a session's name is of an earlier epoch than ours.
fn is_older(name: &str, prefix: &str, ours: u64) -> bool {
    let Some(rest) = name.strip_prefix(prefix) else { return false };
    let Some((instance, epoch)) = rest.split_once('/') else { return false };
    instance.parse::<uuid::Uuid>().is_ok() && epoch.parse::<u64>().is_ok_and(|epoch| epoch < ours)
}

#[cfg(test)]
mod tests {
    use model::{ConnectorId, InstanceId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_an_earlier_epoch_of_this_connector_is_older() {
        let connector = |name: &str| ConnectorId::parse(name).unwrap();
        let ours = connector("harbour-1");
        let instance = InstanceId::from_uuid(Uuid::from_u128(u128::MAX));
        let named = |of: &str, epoch| naming::session_name(&connector(of), instance, epoch);
        let prefix = naming::sessions_of(&ours);
        let table = [
            ("earlier", named("harbour-1", 6), true),
            ("without a lease", named("harbour-1", 0), true),
            ("the same", named("harbour-1", 7), false),
            ("later", named("harbour-1", 8), false),
            ("another connector's", named("harbour-2", 6), false),
            ("cut off", named("harbour-1", 6).trim_end_matches('6').into(), false),
            ("made up", format!("{prefix}psql/6"), false),
            ("a person's", "psql".into(), false),
        ];
        for (name, session, older) in table {
            assert_eq!(is_older(&session, &prefix, 7), older, "{name}");
        }
        assert!(named("a-connector-with-a-long-name-0123456789", 99_999_999).len() <= 63);
    }
}
