//! The database's format: what is in the schema, which build may use it, and how an older one is brought up.
//!
//! Formats expand and contract, as those of the SQLite journal do. What the lease needs never changes: `lease` as a whole,
//! `head.connector`, `head.epoch` and `format`. So builds of any format agree on who acts.

use journal::{JournalFault, sums};
use uuid::Uuid;

use crate::faults::{self, Met, damaged, unusable};
use crate::line::Line;
use crate::options::Options;

/// The newest format this build knows.
pub(crate) const NEWEST: u32 = 1;
/// Every step, with the version that it leads to.
const STEPS: [(u32, &str); 1] = [(1, include_str!("../migrations/0001.sql"))];
/// Held while the format is looked at and brought up, so that two that start at once do not both.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtext('tidegate journal'), hashtext($1))";
const SERVER: &str = "SELECT current_setting('server_encoding'), current_setting('fsync')";
const SCHEMA: &str = "SELECT to_regnamespace($1) IS NOT NULL";
const TABLES: &str = "SELECT count(*), count(*) FILTER (WHERE c.relname = 'format') FROM pg_class AS c \
    WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p')";
const FORMAT: &str = "SELECT version, min_reader FROM format";
const CONNECTOR: &str = "SELECT connector FROM head";
const BEGUN: &str =
    "INSERT INTO head (connector, incarnation, committed, sum, epoch) VALUES ($1, $2, 0, $3, 0)";
const REACHED: &str = "UPDATE format SET version = $1";

/// What the schema turned out to hold.
enum Found {
    Nothing,
    Version(u32),
    TooNew { needed: u32 },
}

/// What can be done with the journal.
pub(crate) enum Settled {
    /// There is none, and none may be made.
    Nothing,
    Usable,
    /// A newer build has left this one behind: it can be read as far as it is understood.
    TooNew(JournalFault),
}

/// Looks at the format, and brings it up when the journal is to be written to.
///
/// # Errors
/// [`JournalFault::Damaged`], or [`JournalFault::Unusable`] with the way out.
pub(crate) async fn settle(
    line: &mut Line,
    options: &Options,
    may_write: bool,
) -> Result<Settled, JournalFault> {
    let name = options.name();
    let sort = |met: Met| faults::opening(&name, &met);
    if may_write {
        line.run("BEGIN").await.map_err(sort)?;
        line.rows(ALONE, &[&options.schema]).await.map_err(sort)?;
    } else {
        line.run("BEGIN READ ONLY").await.map_err(sort)?;
    }
    let found = examine(line, options, &name).await?;
    let settled = match (found, may_write) {
        (Found::Nothing, false) => return Ok(Settled::Nothing),
        (Found::Nothing, true) => {
            bring_up(line, options, 0).await.map_err(sort)?;
            Settled::Usable
        }
        (Found::Version(version), true) => {
            bring_up(line, options, version).await.map_err(sort)?;
            Settled::Usable
        }
        (Found::Version(_), false) => Settled::Usable,
        (Found::TooNew { needed }, _) => Settled::TooNew(JournalFault::TooNew { needed, ours: NEWEST }),
    };
    let owner = line.rows(CONNECTOR, &[]).await.map_err(sort)?;
    let Some(owner) = owner.first().map(|row| row.get::<_, String>(0)) else {
        return Err(damaged(&name, "it has no head"));
    };
    if owner != options.connector.as_str() {
        return Err(unusable(
            &name,
            format!(
                "it is the journal of the connector `{owner}`: give `{}` a schema of its own (`journal.schema`)",
                options.connector
            ),
        ));
    }
    line.run("COMMIT").await.map_err(sort)?;
    Ok(settled)
}

async fn examine(line: &mut Line, options: &Options, name: &str) -> Result<Found, JournalFault> {
    let sort = |met: Met| faults::opening(name, &met);
    if let Some(row) = line.rows(SERVER, &[]).await.map_err(sort)?.first() {
        let (encoding, fsync): (String, String) = (row.get(0), row.get(1));
        if encoding != "UTF8" {
            return Err(unusable(
                name,
                format!("its database is in {encoding}: make one with `ENCODING 'UTF8'` for the journal"),
            ));
        }
        if fsync != "on" {
            tracing::warn!(
                journal = name,
                "The journal's server runs with fsync off: what it calls written may be lost"
            );
        }
    }
    let tables = line.rows(TABLES, &[&options.schema]).await.map_err(sort)?;
    let (all, ours): (i64, i64) = tables.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
    if all == 0 {
        return Ok(Found::Nothing);
    }
    if ours == 0 {
        return Err(unusable(name, "its schema holds other tables, and no journal: name another one"));
    }
    let rows = line.rows(FORMAT, &[]).await.map_err(sort)?;
    let numbers = rows.first().and_then(|row| {
        Some((u32::try_from(row.get::<_, i32>(0)).ok()?, u32::try_from(row.get::<_, i32>(1)).ok()?))
    });
    match numbers {
        None => Err(damaged(name, "it does not say which format it has")),
        Some((_, needed)) if needed > NEWEST => Ok(Found::TooNew { needed }),
        Some((version, _)) => Ok(Found::Version(version)),
    }
}

/// Runs the steps that lead from `version` to the newest one, in the transaction that is open.
async fn bring_up(line: &mut Line, options: &Options, version: u32) -> Result<(), Met> {
    let there: bool = line.rows(SCHEMA, &[&options.schema]).await?.first().is_some_and(|row| row.get(0));
    if !there {
        // The name has letters, digits and `_` only.
        line.run(&format!("CREATE SCHEMA \"{}\"", options.schema)).await?;
    }
    for (next, step) in STEPS {
        if next > version {
            line.run(step).await?;
            if next == 1 {
                let incarnation = Uuid::new_v4().to_string();
                let sum = sums::of_head(&incarnation, 0);
                line.rows(BEGUN, &[&options.connector.as_str(), &incarnation, &sum]).await?;
            }
            line.rows(REACHED, &[&i32::try_from(next).unwrap_or(i32::MAX)]).await?;
            tracing::info!(version = next, journal = options.name(), "Journal format brought up");
        }
    }
    Ok(())
}
