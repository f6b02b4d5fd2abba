//! Deleting: what the account owns goes to a powerless heir, in every database; the account goes last.
//!
//! The heir is a role without login, right or membership. Never an admin, an owner or the connector: what a
//! grantee planted in functions, views and triggers would run with their rights.

use driver::HeirPolicy;
use model::{AccountRef, Code, Failure, Retry};
use tokio_postgres::error::SqlState;

use crate::account::{self, HEIR, column, our_mark, read_mark};
use crate::catalogue::{GIVERS, OWNED_IN, SHARED_ROLE};
use crate::close::Known;
use crate::faults::{ASSERTION, Fault, Stage};
use crate::quote::Ident;
use crate::session::{Purpose, Session};
use crate::statements;
use crate::target::PostgresTarget;

impl PostgresTarget {
    pub(crate) async fn delete_account(&self, account: &AccountRef, heir: HeirPolicy) -> Result<(), Fault> {
        for tries in 1.. {
            let Some((known, role)) = self.find_for_closing(account).await? else { return Ok(()) };
            if role.can_log_in {
                self.act(&known, &[statements::shut_login(&Ident::found(&known.name))]).await?;
            }
            let reference = role.reference(account.id);
            self.end_sessions(&reference).await?;
            match self.strip(&reference).await {
                // Given by others, and beyond an admin who is no superuser: it goes with the role.
                Err(fault) if fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) => {}
                outcome => outcome?,
            }
            match self.drop_account(&known, heir).await {
                // Renamed, deleted by somebody else, or given something new meanwhile: look again.
                Err(fault)
                    if tries < 3
                        && (fault.is(ASSERTION)
                            || fault.is(&SqlState::UNDEFINED_OBJECT)
                            || fault.failure.code == Code::BUSY) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn drop_account(&self, known: &Known, heir: HeirPolicy) -> Result<(), Fault> {
        let (owned, closed) = self.places(known.oid, &["o"], Purpose::Close).await?;
        if closed || (heir == HeirPolicy::KeepShut && !owned.is_empty()) {
            let detail = if closed {
                "the account owns objects in a database that takes no connections: allow them, or drop it"
            } else {
                "the account owns objects and is to be kept shut: hand them over, or drop them"
            };
            let failure = Failure::refused(Code::OWNED_OBJECTS, detail);
            return Err(failure.with_retry(Retry::NeedsHuman).into());
        }
        if !owned.is_empty() {
            self.hand_over(known.oid, &known.name, Purpose::Close).await?;
        }
        // What is left is not owned: policies that name it, default privileges of its own, user mappings.
        let (left, _) = self.places(known.oid, &["a", "d", "r", "i", "t", "x"], Purpose::Close).await?;
        let name = Ident::found(&known.name);
        for database in left {
            self.drop_owned(known, &name, &database, false).await?;
        }
        self.act_to_drop(known).await
    }

    /// Hands everything that a role owns to the heir, in every database.
    pub(crate) async fn hand_over(&self, oid: u32, name: &str, purpose: Purpose) -> Result<(), Fault> {
        let (places, closed) = self.places(oid, &["o"], purpose).await?;
        if places.is_empty() && !closed {
            return Ok(());
        }
        let heir = self.heir().await?;
        for database in places {
            let session = self.pool.session(&database, purpose).await?;
            let outcome = if session.facts()?.superuser {
                let script = statements::script(&[
                    statements::BEGIN.to_owned(),
                    statements::verify(oid, name, None, true),
                    statements::reassign(&Ident::found(name), &heir),
                    statements::IN_TIME.to_owned(),
                    statements::COMMIT.to_owned(),
                ]);
                session.run(&script, Stage::Lasting).await
            } else {
                reassign_without(&session, oid, name, &heir).await
            };
            session.settle(outcome).await?;
        }
        if closed {
            let detail = "something is owned in a database that takes no connections";
            return Err(Failure::refused(Code::OWNED_OBJECTS, detail).with_retry(Retry::NeedsHuman).into());
        }
        Ok(())
    }

    /// Takes what a role has in a database and does not own.
    pub(crate) async fn drop_owned(
        &self,
        known: &Known,
        name: &Ident,
        database: &str,
        shared: bool,
    ) -> Result<(), Fault> {
        let session = self.pool.session(database, Purpose::Close).await?;
        let facts = session.facts()?.clone();
        let mut roles = vec![name.clone()];
        if !facts.superuser {
            let givers = match session.rows(GIVERS, &[&known.oid]).await {
                Ok(rows) => rows,
                Err(fault) => return session.settle(Err(fault)).await,
            };
            for row in &givers {
                roles.push(Ident::found(&column::<String>(row, 0)?));
            }
        }
        let mut script = vec![statements::BEGIN.to_owned()];
        if shared && facts.superuser {
            script.push(statements::lock_shared(facts.superuser, facts.version));
        }
        script.push(statements::verify(known.oid, &known.name, known.comment.as_deref(), facts.superuser));
        script.push(statements::verify_owns_nothing(known.oid));
        if !facts.superuser {
            script.extend(roles.iter().map(|role| statements::take_on(role, facts.version)));
        }
        script.push(statements::drop_owned(name));
        if !facts.superuser {
            script.extend(roles.iter().map(|role| statements::let_go(role, facts.version)));
        }
        script.extend([statements::IN_TIME.to_owned(), statements::COMMIT.to_owned()]);
        let outcome = session.run(&statements::script(&script), Stage::Lasting).await;
        session.settle(outcome).await
    }

    pub(crate) fn heir_name(&self) -> Result<String, Failure> {
        self.shared_name("heir", &[], "")
    }

    /// Returns the heir, made if need be; one that has come to power inherits nothing.
    async fn heir(&self) -> Result<Ident, Fault> {
        let name = self.heir_name()?;
        for _ in 0..2 {
            let session = self.pool.session(&self.home, Purpose::Close).await?;
            let find = async {
                let facts = session.facts()?.clone();
                let rows = session.rows(SHARED_ROLE, &[&name]).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let (oid, comment): (u32, Option<String>) = (column(row, 0)?, column(row, 1)?);
                let state = read_mark(&self.context, &facts.identity, oid, comment.as_deref());
                let ours = our_mark(&state, &self.context).is_some_and(|mark| mark.draft.account == HEIR);
                let powerless = session
                    .rows(crate::catalogue::POWERLESS, &[&oid])
                    .await?
                    .first()
                    .map(|row| column::<bool>(row, 0))
                    .transpose()?
                    .unwrap_or(false);
                Ok(Some(ours && powerless))
            };
            let outcome = find.await;
            match session.settle(outcome).await? {
                Some(true) => return Ok(Ident::found(&name)),
                Some(false) => {
                    let detail =
                        "the heir is not marked as ours or has come to rights: drop it, or take them";
                    return Err(Failure::refused(Code::OWNED_OBJECTS, detail)
                        .with_retry(Retry::NeedsHuman)
                        .into());
                }
                None => match self.make_shared(&name, HEIR, None, &self.home).await {
                    Err(fault)
                        if fault.is(&SqlState::DUPLICATE_OBJECT) || fault.is(&SqlState::UNIQUE_VIOLATION) => {
                    }
                    outcome => drop(outcome?),
                },
            }
        }
        Err(account::missing().into())
    }
}

/// Hands over what a role owns in one database, as an admin who is no superuser: it takes on both roles for as long, and
/// lets the heir own things in the schemas that they are in. What it cannot hand over stays, all of it.
async fn reassign_without(session: &Session, oid: u32, name: &str, heir: &Ident) -> Result<(), Fault> {
    let (role, version) = (Ident::found(name), session.facts()?.version);
    let mut schemas = vec![];
    for row in session.rows(OWNED_IN, &[&oid]).await? {
        schemas.push(Ident::found(&column::<String>(&row, 0)?));
    }
    let hand_over = async {
        let begin = statements::script(&[
            statements::BEGIN.to_owned(),
            statements::verify(oid, name, None, false),
            statements::take_on(&role, version),
            statements::take_on(heir, version),
        ]);
        session.run(&begin, Stage::Harmless).await?;
        // The names of schemas are other people's: one statement an exchange.
        for schema in &schemas {
            session.run(&statements::let_own_in(schema, heir), Stage::Harmless).await?;
        }
        session.run(&statements::reassign(&role, heir), Stage::Harmless).await?;
        for schema in &schemas {
            session.run(&statements::let_own_in_no_more(schema, heir), Stage::Harmless).await?;
        }
        let end = statements::script(&[
            statements::let_go(&role, version),
            statements::let_go(heir, version),
            statements::verify(oid, name, None, false),
            statements::IN_TIME.to_owned(),
            statements::COMMIT.to_owned(),
        ]);
        session.run(&end, Stage::Lasting).await
    };
    hand_over.await.map_err(|fault| {
        if !fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return fault;
        }
        let detail = "the account owns objects that the admin may not hand over, as it has no rights of their schema's \
                      owner: hand them over, or make the admin a member of that owner";
        Failure::refused(Code::OWNED_OBJECTS, detail).with_retry(Retry::NeedsHuman).into()
    })
}
