//! Towards less: shut the login, take the credential, and the transaction that every closing deed runs in.
//!
//! A deed on an account whose OID is known takes one exchange: verify and lock, act, commit. Whatever does
//! not fit the account as the journal knows it (renamed, gone, somebody else's) is looked up and tried
//! again. Nothing here waits for a lock that a grantee can take: when its own sessions or prepared
//! transactions hold the account's row, they are ended in the same exchange in which the row is locked.

use std::time::Duration;

use model::{AccountRef, Code, Failure, Retry};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use crate::account::{self, Found, Role, find, known_oid};
use crate::catalogue::{ACCOUNT, PREPARED_IN_THE_WAY};
use crate::faults::{ASSERTION, Fault, Stage};
use crate::quote::Ident;
use crate::session::{Purpose, Session};
use crate::statements;
use crate::target::PostgresTarget;

/// How often a deed is tried against a grantee that holds on to its row.
const TRIES: usize = 4;

/// How long a session of ours waits for the account's row before somebody looks who is in its way.
const BREATH: Duration = Duration::from_millis(100);

/// The account that a deed is for, as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// Its mark, when that is all it was recognised by.
    pub(crate) comment: Option<String>,
}

/// What an admin who cannot lock the account's row expects to see after a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// The same account as before.
    There,
    /// No role of its OID.
    Gone,
}

impl PostgresTarget {
    pub(crate) async fn shut_login(&self, account: &AccountRef) -> Result<(), Fault> {
        self.deed(account, &|name| vec![statements::shut_login(name)]).await
    }

    pub(crate) async fn scramble(&self, account: &AccountRef) -> Result<(), Fault> {
        self.deed(account, &|name| vec![statements::scramble(name)]).await
    }

    /// Does something to an account, if it is there.
    async fn deed(
        &self,
        account: &AccountRef,
        what: &(dyn Fn(&Ident) -> Vec<String> + Sync),
    ) -> Result<(), Fault> {
        if let Some(oid) = known_oid(account.immutable.as_ref()) {
            let known = Known { oid, name: account.name.0.clone(), comment: None };
            match self.act(&known, &what(&Ident::found(&known.name))).await {
                Err(fault) if is_not_as_known(&fault) => {}
                outcome => return outcome,
            }
        }
        match self.find_for_closing(account).await? {
            None => Ok(()),
            Some((known, _)) => self.act(&known, &what(&Ident::found(&known.name))).await,
        }
    }

    /// Finds the account of a closing verb. `None` when it is not there; a role of its name that is not the
    /// account counts as not there as soon as the account is known by its OID.
    pub(crate) async fn find_for_closing(
        &self,
        account: &AccountRef,
    ) -> Result<Option<(Known, Role)>, Fault> {
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let outcome = self.find_on(&session, account).await;
        session.settle(outcome).await
    }

    /// The same on a session that is there already.
    pub(crate) async fn find_on(
        &self,
        session: &Session,
        account: &AccountRef,
    ) -> Result<Option<(Known, Role)>, Fault> {
        let oid = known_oid(account.immutable.as_ref());
        match self.find_by(session, account).await? {
            Found::Absent => Ok(None),
            Found::Foreign(_) if oid.is_some() => Ok(None),
            Found::Foreign(_) => Err(account::foreign().into()),
            Found::Ours(role) => {
                let comment = role.comment.clone().filter(|_| oid != Some(role.oid));
                Ok(Some((Known { oid: role.oid, name: role.name.clone(), comment }, role)))
            }
        }
    }

    async fn find_by(&self, session: &Session, account: &AccountRef) -> Result<Found, Fault> {
        let oid = known_oid(account.immutable.as_ref()).unwrap_or_default();
        let mut roles = vec![];
        for row in session.rows(ACCOUNT, &[&oid, &account.name.0]).await? {
            roles.extend(Role::of(&row)?);
        }
        let facts = session.facts()?;
        Ok(find(roles, account, &self.context, &facts.identity, facts.ourselves))
    }

    /// Verifies and acts as one.
    pub(crate) async fn act(&self, known: &Known, deed: &[String]) -> Result<(), Fault> {
        self.act_until(known, deed, Afterwards::There).await
    }

    /// Drops the account, verified in the same way.
    pub(crate) async fn act_to_drop(&self, known: &Known) -> Result<(), Fault> {
        let deed = [statements::drop_role(&Ident::found(&known.name))];
        self.act_until(known, &deed, Afterwards::Gone).await
    }

    /// Verifies and acts as one, and ends whatever of the account's own stands in the way.
    async fn act_until(&self, known: &Known, deed: &[String], afterwards: Afterwards) -> Result<(), Fault> {
        let mut resisting = false;
        for tries in 1..=TRIES {
            let session = self.pool.session(&self.home, Purpose::Close).await?;
            if resisting && let Err(fault) = self.release(&session, known).await {
                return session.settle(Err(fault)).await;
            }
            let superuser = session.facts()?.superuser;
            let verify = statements::verify(known.oid, &known.name, known.comment.as_deref(), superuser);
            let mut script = vec![];
            if resisting {
                // All in one exchange: what logs in again comes to the row after us.
                script.push(statements::end_sessions(known.oid));
            }
            script.extend([statements::BEGIN.to_owned(), verify.clone()]);
            script.extend(deed.iter().cloned());
            if !superuser {
                script.push(match afterwards {
                    Afterwards::There => verify,
                    Afterwards::Gone => statements::verify_gone(known.oid),
                });
            }
            script.extend([statements::IN_TIME.to_owned(), statements::COMMIT.to_owned()]);
            let script = statements::script(&script);
            let outcome = if resisting {
                let process = session.facts()?.process;
                let clear = self.clear_the_way(known.oid, process);
                tokio::join!(session.run(&script, Stage::Lasting), clear).0
            } else {
                session.run(&script, Stage::Lasting).await
            };
            match session.settle(outcome).await {
                Err(fault) if tries < TRIES && is_in_the_way(&fault) => resisting = true,
                outcome => return outcome,
            }
        }
        Err(Failure::not_done(Code::BUSY, "another transaction holds the account's row").into())
    }

    /// Rolls back the prepared transactions of the account.
    async fn release(&self, session: &Session, known: &Known) -> Result<(), Fault> {
        let found = self.prepared_of(session, known.oid).await?;
        self.roll_back(session, &found).await
    }

    /// Rolls back what a waiting session of ours waits for, if it is a prepared transaction of the account's.
    /// Best effort: the waiting session tells how it went.
    async fn clear_the_way(&self, oid: u32, process: i32) {
        sleep(BREATH).await;
        let clear = async {
            let session = self.pool.session(&self.home, Purpose::Close).await?;
            let outcome = session.rows(PREPARED_IN_THE_WAY, &[&process, &oid]).await;
            let cleared = match outcome {
                Ok(rows) => match Self::prepared_rows(&rows) {
                    Ok(found) => self.roll_back(&session, &found).await,
                    Err(fault) => Err(fault),
                },
                Err(fault) => Err(fault),
            };
            session.settle(cleared).await
        };
        if let Err(fault) = clear.await {
            tracing::debug!(code = %fault.failure.code, "What is in the way could not be cleared");
        }
    }
}

/// Returns true when the account is not what the journal knows: renamed, gone, or somebody else's.
fn is_not_as_known(fault: &Fault) -> bool {
    fault.is(ASSERTION) || fault.is(&SqlState::UNDEFINED_OBJECT)
}

/// Returns true when somebody else's transaction stood in the way.
pub(crate) fn is_in_the_way(fault: &Fault) -> bool {
    fault.is(&SqlState::LOCK_NOT_AVAILABLE)
        || fault.is(&SqlState::T_R_DEADLOCK_DETECTED)
        || (fault.is(&SqlState::INTERNAL_ERROR) && fault.failure.code == Code::BUSY)
}

/// The failure of a close that did not get everything.
pub(crate) fn remains(code: Code, detail: &str) -> Fault {
    Failure::not_done(code, detail).with_retry(Retry::Backoff).into()
}
