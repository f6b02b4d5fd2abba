//! Shared permission roles: one per connector, integration, scope and permission, holding the rights that
//! accounts get by membership.
//!
//! A role is made when it is first needed, is marked with its scope, and is looked at again for every
//! order (see `look`): a role that holds more than its definition gives no new access.

use std::time::Duration;

use driver::naming::{self, Prefix};
use model::mark::{EntitlementDeadline, MarkDraft};
use model::{AccountId, Code, Entitlement, Failure, ImmutableId, Retry, Revision, TargetIdentity, Timestamp};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::account::{self, PERMISSION_ROLE, column};
use crate::catalogue::SHARED_ROLE;
use crate::faults::{Fault, Stage};
use crate::look::Lacking;
use crate::manifest::MANIFEST;
use crate::quote::{Ident, Literal};
use crate::scope::{Level, Right, Scope};
use crate::session::Purpose;
use crate::statements::{self, Definition, Future, MANAGED, Subject};
use crate::target::PostgresTarget;

/// How long one order may work on one permission role; very wide scopes need many statements.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The comment of the common role. It is no mark: the role is shared by all connectors.
pub(crate) const COMMON: &str =
    "Tidegate: accounts made by Tidegate are members of this role; it gives nothing";

/// A shared role as it was when it was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) comment: String,
}

fn busy() -> Fault {
    Failure::not_done(Code::BUSY, "other orders are working on the same permission role").into()
}

fn wider(detail: &str) -> Fault {
    Failure::refused(Code::PERMISSION_ROLE_WIDER, detail).with_retry(Retry::NeedsHuman).into()
}

impl PostgresTarget {
    /// Returns the name of a permission role.
    pub(crate) fn permission_role_name(&self, scope: &Scope, level: Level) -> Result<String, Failure> {
        let resource = scope.resource();
        let path: Vec<&str> = std::iter::once(resource.kind.0.as_str())
            .chain(resource.path.iter().map(String::as_str))
            .collect();
        self.shared_name(level.word(), &path, level.permission())
    }

    pub(crate) fn shared_name(
        &self,
        word: &str,
        scope: &[&str],
        permission: &str,
    ) -> Result<String, Failure> {
        let limits = MANIFEST.names;
        let (connector, integration) = (&self.context.connector, &self.context.integration);
        naming::role_name(&Prefix::ours(limits), word, connector, integration, scope, permission, limits)
            .map_err(|fault| Failure::refused(Code::NAME_REFUSED, fault.to_string()))
    }

    /// Writes the comment of a shared role: a mark that no account can have.
    pub(crate) fn shared_mark(
        &self,
        account: AccountId,
        entitlement: Option<Entitlement>,
        oid: u32,
        target: &TargetIdentity,
    ) -> Result<String, Failure> {
        let deadlines = entitlement
            .map(|entitlement| EntitlementDeadline { entitlement, until: Timestamp::NEVER })
            .into_iter()
            .collect();
        let draft = MarkDraft {
            connector: self.context.connector.clone(),
            integration: self.context.integration.clone(),
            account,
            revision: Revision(0),
            deadlines,
            until: None,
            last_revoked: None,
        };
        let mark = draft.complete(target.clone(), ImmutableId(oid.to_string()));
        self.context
            .marks
            .write(&mark, seal::mark::LONGEST)
            .map_err(|fault| Failure::refused(Code::DRIVER_FAULT, fault.to_string()))
    }

    /// Returns the permission role of a scope, made and brought to its definition if need be.
    ///
    /// # Errors
    /// [`Code::PERMISSION_ROLE_WIDER`] when it holds more, [`Code::RESOURCE_MISSING`], or sorted.
    pub(crate) async fn permission_role(&self, scope: &Scope, level: Level) -> Result<Shared, Fault> {
        let bring_about = async {
            let mut before: Vec<Lacking> = vec![];
            let (mut handed_over, mut put_out) = (false, false);
            loop {
                let look = self.look(scope, level, Purpose::Open).await?;
                if !look.here {
                    return Err(missing_resource().into());
                }
                if look.foreign {
                    return Err(wider(
                        "a role of the permission role's name is not marked as ours: drop or rename it",
                    ));
                }
                let Some(role) = look.role else {
                    self.make_permission_role(scope, level).await?;
                    self.book.outdate(scope, level).await;
                    continue;
                };
                if look.owns && !handed_over {
                    // Before 16 a grantee can set the role and make objects as it.
                    self.hand_over(role.oid, &role.name, Purpose::Open).await?;
                    self.book.outdate(scope, level).await;
                    handed_over = true;
                    continue;
                }
                if !look.joined.is_empty() && !put_out {
                    self.put_out(scope, &role, &look.joined).await?;
                    self.book.outdate(scope, level).await;
                    put_out = true;
                    continue;
                }
                if look.wider || !look.joined.is_empty() {
                    return Err(wider(
                        "a permission role holds more than its definition, so it gives no new access: `check` \
                         says what; take it back",
                    ));
                }
                if look.lacking.is_empty() {
                    return Ok(role);
                }
                if look.lacking == before {
                    return Err(Failure::refused(
                        Code::RIGHT_MISSING,
                        "the admin cannot give the permission role all that its definition says: `check` says why",
                    )
                    .with_retry(Retry::NeedsHuman)
                    .into());
                }
                self.give(scope, level, &role, &look.lacking).await?;
                self.book.outdate(scope, level).await;
                before = look.lacking;
            }
        };
        timeout(PATIENCE, bring_about).await.map_err(|_| busy())?
    }

    async fn make_permission_role(&self, scope: &Scope, level: Level) -> Result<(), Fault> {
        let name = self.permission_role_name(scope, level)?;
        let entitlement = Right::Shared { scope: scope.clone(), level }.entitlement();
        match self.make_shared(&name, PERMISSION_ROLE, Some(entitlement), scope.database()).await {
            // Somebody else was faster: the next look tells what it is.
            Err(fault) if fault.is(&SqlState::DUPLICATE_OBJECT) || fault.is(&SqlState::UNIQUE_VIOLATION) => {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    /// Ends memberships of a permission role in accounts.
    async fn put_out(&self, scope: &Scope, role: &Shared, accounts: &[String]) -> Result<(), Fault> {
        let session = self.pool.session(scope.database(), Purpose::Open).await?;
        let facts = session.facts()?.clone();
        let verify = statements::verify(role.oid, &role.name, Some(&role.comment), facts.superuser);
        let mut script = vec![statements::BEGIN.to_owned(), verify];
        for account in accounts {
            let (account, member) = (Ident::found(account), Ident::found(&role.name));
            script.push(statements::leave(&account, &member, None, facts.version));
        }
        script.extend([statements::IN_TIME.to_owned(), statements::COMMIT.to_owned()]);
        let outcome = session.run(&statements::script(&script), Stage::Lasting).await;
        session.settle(outcome).await
    }

    /// Makes a shared role and marks it, in one transaction.
    pub(crate) async fn make_shared(
        &self,
        name: &str,
        account: AccountId,
        entitlement: Option<Entitlement>,
        database: &str,
    ) -> Result<u32, Fault> {
        let ident = Ident::asked(name)?;
        let session = self.pool.session(database, Purpose::Open).await?;
        let make = async {
            let begin = statements::script(&[statements::BEGIN, &statements::create_shared(&ident)]);
            session.run(&begin, Stage::Harmless).await?;
            let rows = session.rows(SHARED_ROLE, &[&name]).await?;
            let oid: u32 = rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or_default();
            let text = self.shared_mark(account, entitlement, oid, &session.facts()?.identity)?;
            let end = statements::script(&[
                statements::comment(&ident, Some(&Literal::of(&text))).as_str(),
                statements::IN_TIME,
                statements::COMMIT,
            ]);
            session.run(&end, Stage::Lasting).await?;
            Ok(oid)
        };
        let outcome = make.await;
        session.settle(outcome).await
    }

    /// Gives a permission role a batch of what it lacks, one statement an exchange: the names in them are
    /// other people's.
    async fn give(
        &self,
        scope: &Scope,
        level: Level,
        role: &Shared,
        lacking: &[Lacking],
    ) -> Result<(), Fault> {
        let ident = Ident::found(&role.name);
        // Its lock is what lets one order at a time do this.
        self.managed_role().await?;
        for try_again in [true, true, false] {
            let session = self.pool.session(scope.database(), Purpose::Open).await?;
            let give = async {
                let facts = session.facts()?;
                let definition = Definition::of(scope, level, facts.version);
                session.run(statements::BEGIN, Stage::Harmless).await?;
                session
                    .run(&statements::lock_shared(facts.superuser, facts.version), Stage::Harmless)
                    .await?;
                let verify = statements::verify(role.oid, &role.name, Some(&role.comment), facts.superuser);
                session.run(&verify, Stage::Harmless).await?;
                for subject in subjects(lacking) {
                    let statement = statements::give(&subject, &ident, &definition, facts.version);
                    session.run(&statement, Stage::Harmless).await?;
                }
                session
                    .run(&statements::script(&[statements::IN_TIME, statements::COMMIT]), Stage::Lasting)
                    .await
            };
            let outcome = give.await;
            match session.settle(outcome).await {
                Err(fault) if try_again && fault.failure.code == Code::BUSY && !fault.lost => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Returns the role that all accounts are members of, made if need be.
    pub(crate) async fn managed_role(&self) -> Result<Shared, Fault> {
        let mut known = timeout(PATIENCE, self.book.managed.lock()).await.map_err(|_| busy())?;
        if let Some(role) = &*known {
            return Ok(role.clone());
        }
        let session = self.pool.session(&self.home, Purpose::Open).await?;
        let make = async {
            let find = async || -> Result<Option<Shared>, Fault> {
                let rows = session.rows(SHARED_ROLE, &[&MANAGED]).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let comment = column::<Option<String>>(row, 1)?.unwrap_or_default();
                Ok(Some(Shared { name: MANAGED.into(), oid: column(row, 0)?, comment }))
            };
            if let Some(role) = find().await? {
                return Ok(role);
            }
            let name = Ident::found(MANAGED);
            let script = statements::script(&[
                statements::BEGIN,
                &statements::create_shared(&name),
                &statements::comment(&name, Some(&Literal::of(COMMON))),
                statements::IN_TIME,
                statements::COMMIT,
            ]);
            match session.run(&script, Stage::Lasting).await {
                Err(fault)
                    if fault.is(&SqlState::DUPLICATE_OBJECT) || fault.is(&SqlState::UNIQUE_VIOLATION) =>
                {
                    session.run("ROLLBACK", Stage::Harmless).await?;
                }
                outcome => outcome?,
            }
            find().await?.ok_or_else(|| account::missing().into())
        };
        let outcome = make.await;
        let role = session.settle(outcome).await?;
        *known = Some(role.clone());
        Ok(role)
    }
}

fn missing_resource() -> Failure {
    Failure::refused(
        Code::RESOURCE_MISSING,
        "the schema or table is not there: it was dropped or renamed, or the name is another",
    )
}

/// Puts what is lacking together, as few statements as kinds of object.
fn subjects(lacking: &[Lacking]) -> Vec<Subject> {
    let (mut tables, mut sequences, mut schemas, mut routines) = (vec![], vec![], vec![], vec![]);
    let mut found = vec![];
    for item in lacking {
        let name = Ident::found(&item.name);
        let schema = item.schema.as_deref().map(Ident::found);
        match (item.kind.as_str(), schema) {
            ("database", _) => found.push(Subject::Database(name)),
            ("schema", _) => schemas.push(name),
            ("table", Some(schema)) => tables.push((schema, name)),
            ("sequence", Some(schema)) => sequences.push((schema, name)),
            ("routine", _) => routines.push(item.name.clone()),
            ("default", schema) => {
                let kind = match item.more.as_deref() {
                    Some("tables") => Future::Tables,
                    Some("sequences") => Future::Sequences,
                    Some("routines") => Future::Routines,
                    _ => Future::Schemas,
                };
                found.push(Subject::Future { creator: name, schema, kind });
            }
            _ => {}
        }
    }
    let several: [(bool, Subject); 4] = [
        (schemas.is_empty(), Subject::Schemas(schemas)),
        (tables.is_empty(), Subject::Tables(tables)),
        (sequences.is_empty(), Subject::Sequences(sequences)),
        (routines.is_empty(), Subject::Routines(routines)),
    ];
    found.extend(several.into_iter().filter(|(empty, _)| !empty).map(|(_, subject)| subject));
    found
}
