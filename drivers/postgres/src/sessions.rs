//! Ending an account's sessions, those that are still starting, and its prepared transactions.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{AccountRef, Code};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use crate::account::{column, known_oid};
use crate::catalogue::{END_SESSIONS, PREPARED};
use crate::close::remains;
use crate::faults::{Fault, Stage};
use crate::quote::{Ident, Literal};
use crate::session::{Purpose, Session};
use crate::statements;
use crate::target::PostgresTarget;

/// How long sessions may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait between two rounds.
const BREATH: Duration = Duration::from_millis(10);

/// A prepared transaction, and where it can be rolled back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Prepared {
    pub(crate) transaction: String,
    pub(crate) database: Option<String>,
    pub(crate) connectable: bool,
    pub(crate) owner: String,
    /// We are a member of the owner.
    pub(crate) member: bool,
}

/// Processes that were met while they were logging in: all that the account tried to end, and those that it
/// could, which are its own.
#[derive(Default)]
struct Starting {
    tried: BTreeSet<i32>,
    ended: BTreeSet<i32>,
}

/// What one round of ending sessions found.
struct Round {
    /// What the role of that OID is called now; `None` when it is gone.
    name: Option<String>,
    living: i64,
    /// Processes that are logging in, of whatever role.
    starting: Vec<i32>,
}

impl PostgresTarget {
    /// Ends every session of an account and rolls back its prepared transactions.
    ///
    /// # Errors
    /// [`Code::SESSIONS_REMAIN`] when some do not end in time.
    pub(crate) async fn end_sessions(&self, account: &AccountRef) -> Result<(), Fault> {
        let mut name = account.name.0.clone();
        let mut oid = known_oid(account.immutable.as_ref());
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let end = async {
            let began = Instant::now();
            let mut starting = Starting::default();
            loop {
                let Some(number) = oid else {
                    let Some((known, _)) = self.find_on(&session, account).await? else { return Ok(()) };
                    (oid, name) = (Some(known.oid), known.name);
                    continue;
                };
                session.prepare(&[END_SESSIONS, PREPARED]).await?;
                let (round, prepared) =
                    tokio::join!(self.one_round(&session, number, &name), self.prepared_of(&session, number));
                let (round, prepared) = (round?, prepared?);
                if round.name.as_ref().is_some_and(|found| *found != name) {
                    // Renamed, or the OID is somebody else's by now: look before touching anything.
                    match self.find_on(&session, account).await? {
                        Some((known, _)) if known.oid == number => name = known.name,
                        _ => return Ok(()),
                    }
                    continue;
                }
                self.roll_back(&session, &prepared).await?;
                if let Some(name) = &round.name {
                    self.end_starting(&session, name, &round.starting, &mut starting).await?;
                }
                let dying = round.starting.iter().any(|process| starting.ended.contains(process));
                if round.living == 0 && prepared.is_empty() && !dying {
                    return Ok(());
                }
                if began.elapsed() > PATIENCE {
                    return Err(remains(
                        Code::SESSIONS_REMAIN,
                        "sessions of the account have not ended in five seconds",
                    ));
                }
                sleep(BREATH).await;
            }
        };
        let outcome = end.await;
        session.settle(outcome).await
    }

    async fn one_round(&self, session: &Session, oid: u32, name: &str) -> Result<Round, Fault> {
        session.about_to_change()?;
        let rows = session.rows(END_SESSIONS, &[&oid, &name]).await?;
        let Some(row) = rows.first() else { return Ok(Round { name: None, living: 0, starting: vec![] }) };
        Ok(Round {
            name: column(row, 0)?,
            living: column(row, 1)?,
            starting: column::<Option<Vec<i32>>>(row, 2)?.unwrap_or_default(),
        })
    }

    /// Ends sessions of the account that the activity view does not show yet.
    ///
    /// A login can be held between its check and its first sight for as long as the client likes
    /// (`post_auth_delay`). Whose it is the server tells in one way only: a role that is no superuser and no
    /// member of anything may end its own sessions and nobody else's. So the account itself is made to
    /// end each process that is starting; the server refuses those that are not its own.
    async fn end_starting(
        &self,
        session: &Session,
        name: &str,
        starting: &[i32],
        known: &mut Starting,
    ) -> Result<(), Fault> {
        let facts = session.facts()?.clone();
        let account = Ident::found(name);
        for pid in starting {
            if !known.tried.insert(*pid) {
                continue;
            }
            let [become_it, end_it] = statements::end_session_as(&account, *pid);
            // What is ended stays so, also when the transaction is not kept.
            let mut script = vec![statements::BEGIN.to_owned()];
            if !facts.superuser {
                script.push(statements::take_on(&account, facts.version));
            }
            script.extend([become_it, end_it, "ROLLBACK".to_owned()]);
            let script = statements::script(&script);
            match session.run(&script, Stage::Harmless).await {
                Ok(()) => drop(known.ended.insert(*pid)),
                Err(refused) if refused.lost => return Err(refused),
                Err(_) => session.run("ROLLBACK", Stage::Harmless).await?,
            }
        }
        Ok(())
    }

    /// Returns the prepared transactions that are to end with the account.
    pub(crate) async fn prepared_of(&self, session: &Session, oid: u32) -> Result<Vec<Prepared>, Fault> {
        Self::prepared_rows(&session.rows(PREPARED, &[&oid]).await?)
    }

    pub(crate) fn prepared_rows(rows: &[Row]) -> Result<Vec<Prepared>, Fault> {
        rows.iter()
            .map(|row| {
                Ok(Prepared {
                    transaction: column(row, 0)?,
                    database: column(row, 1)?,
                    connectable: column(row, 2)?,
                    owner: column(row, 3)?,
                    member: column(row, 4)?,
                })
            })
            .collect()
    }

    /// Rolls prepared transactions back, each in its own database. One that is gone already is success; one
    /// in a database that nobody can connect to stays, and `observe` tells of it.
    pub(crate) async fn roll_back(&self, session: &Session, prepared: &[Prepared]) -> Result<(), Fault> {
        for one in prepared {
            let statement = statements::rollback_prepared(&Literal::of(&one.transaction));
            let superuser = session.facts()?.superuser;
            let outcome = match &one.database {
                Some(database) if one.connectable && !superuser => {
                    self.roll_back_as_owner(one, database, &statement).await
                }
                Some(database) if database == session.database() => {
                    session.run(&statement, Stage::Lasting).await
                }
                Some(database) if one.connectable => {
                    let there = self.pool.session(database, Purpose::Close).await?;
                    let outcome = there.run(&statement, Stage::Lasting).await;
                    there.settle(outcome).await
                }
                _ => Err(remains(
                    Code::SESSIONS_REMAIN,
                    "a prepared transaction is in a database that takes no connections",
                )),
            };
            match outcome {
                Err(fault) if fault.failure.code != Code::RESOURCE_MISSING => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// Rolls a prepared transaction back in its owner's place: the server lets only the owner, or a superuser.
    async fn roll_back_as_owner(&self, one: &Prepared, database: &str, statement: &str) -> Result<(), Fault> {
        let there = self.pool.session(database, Purpose::Close).await?;
        let (owner, version) = (Ident::found(&one.owner), there.facts()?.version);
        // Before 16 there is one row for a membership, and one that was there before is not ours to take back.
        let lent = version.memberships_have_options() || !one.member;
        if lent && let Err(fault) = there.run(&statements::take_on(&owner, version), Stage::Harmless).await {
            return there.settle(Err(fault)).await;
        }
        let outcome = match there.run(&statements::become_role(&owner), Stage::Harmless).await {
            Ok(()) => there.run(statement, Stage::Lasting).await,
            refused => refused,
        };
        // A session that stays somebody else is given up: dropped, not settled.
        there.run(statements::BE_OURSELVES, Stage::Harmless).await?;
        if lent && let Err(fault) = there.run(&statements::let_go(&owner, version), Stage::Harmless).await {
            return there.settle(Err(fault)).await;
        }
        there.settle(outcome).await
    }
}
