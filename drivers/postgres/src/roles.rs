//! Shared permission roles: one per connector, integration, scope and permission, holding the rights that
//! accounts get by membership.
//!
//! A role is made when it is first needed, is marked with its scope, and is looked at again for every
//! order: a role that holds more than its definition gives no new access. Looking is exact and shared
//! by all orders that asked before it began; only where it is expensive (scopes of very many objects) a
//! recent look is taken again, see [`LookAgain`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driver::naming::{self, Prefix};
use model::mark::{EntitlementDeadline, MarkDraft};
use model::{AccountId, Code, Entitlement, Failure, ImmutableId, Retry, Revision, TargetIdentity, Timestamp};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;

use crate::account::{self, PERMISSION_ROLE, column, permission_of};
use crate::catalogue::{BEYOND, LACKING_IN_SCOPE, LACKING_ON_TABLE, SHARED_ROLE};
use crate::faults::{Fault, Stage};
use crate::manifest::MANIFEST;
use crate::quote::{Ident, Literal};
use crate::scope::{Level, Right, Scope};
use crate::session::{Parameter, Purpose, Session};
use crate::statements::{self, Definition, Future, MANAGED, Subject};
use crate::target::PostgresTarget;

/// How long one order may work on one permission role; very wide scopes need many statements.
const PATIENCE: Duration = Duration::from_secs(300);

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

/// What a look at a permission role found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// The role, when it is there and marked as ours for this scope.
    pub(crate) role: Option<Shared>,
    /// Something of that name is there that is not marked so.
    pub(crate) foreign: bool,
    /// What it has beyond its definition, in words.
    pub(crate) beyond: Vec<String>,
    /// It owns objects: somebody set the role and made them.
    owns: bool,
    lacking: Vec<Lacking>,
    /// The resource is there.
    pub(crate) here: bool,
    /// It lacks what makes it worth anything: to connect, to use the schema, to use the table.
    pub(crate) hollow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lacking {
    kind: String,
    schema: Option<String>,
    name: String,
    more: Option<String>,
}

/// When a look has to be taken again.
#[derive(Debug, Clone, Copy)]
struct LookAgain {
    began: Instant,
    cost: Duration,
}

impl LookAgain {
    /// Cheaper looks are taken anew for every order.
    const CHEAP: Duration = Duration::from_millis(25);
    const LONGEST: Duration = Duration::from_secs(60);

    /// Returns true when a look serves an order that asked at `asked`.
    fn serves(self, asked: Instant) -> bool {
        let keeps =
            if self.cost < Self::CHEAP { Duration::ZERO } else { (self.cost * 20).min(Self::LONGEST) };
        self.began + keeps >= asked
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<(LookAgain, Look)>>>;

/// The permission roles that this process has looked at.
#[derive(Default)]
pub(crate) struct RoleBook {
    slots: Mutex<BTreeMap<(Scope, Level), Slot>>,
    managed: tokio::sync::Mutex<Option<Shared>>,
}

impl RoleBook {
    fn slot(&self, scope: &Scope, level: Level) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((scope.clone(), level)).or_default())
    }

    /// Forgets one look, because the role was changed.
    async fn outdate(&self, scope: &Scope, level: Level) {
        *self.slot(scope, level).lock().await = None;
    }

    /// Forgets every look, because what was seen is no longer so.
    pub(crate) async fn forget(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.managed.lock().await = None;
    }
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

    /// Looks at a permission role, or takes a look that serves.
    pub(crate) async fn look(&self, scope: &Scope, level: Level, purpose: Purpose) -> Result<Look, Fault> {
        let asked = Instant::now();
        let slot = self.book.slot(scope, level);
        let mut known = timeout(PATIENCE, slot.lock()).await.map_err(|_| busy())?;
        if let Some((again, look)) = &*known
            && again.serves(asked)
        {
            return Ok(look.clone());
        }
        let session = self.pool.session(scope.database(), purpose).await?;
        let began = Instant::now();
        let outcome = self.look_now(&session, scope, level).await;
        let look = session.settle(outcome).await?;
        *known = Some((LookAgain { began, cost: began.elapsed() }, look.clone()));
        Ok(look)
    }

    async fn look_now(&self, session: &Session, scope: &Scope, level: Level) -> Result<Look, Fault> {
        let facts = session.facts()?;
        let name = self.permission_role_name(scope, level)?;
        let definition = Definition::of(scope, level, facts.version);
        let (schema, table) = (scope.schema(), scope.table());
        let lacking_text = if table.is_some() { LACKING_ON_TABLE } else { LACKING_IN_SCOPE };
        session.prepare(&[SHARED_ROLE, BEYOND, lacking_text]).await?;
        let Definition { database, schemas, tables, sequences, routines } = &definition;
        let all: [Parameter<'_>; 8] =
            [&name, &schema, &table, database, schemas, tables, sequences, routines];
        let parameters = if table.is_some() { all.get(..7).unwrap_or(&all) } else { &all };
        let by_name: [Parameter<'_>; 1] = [&name];
        let (role, beyond, lacking) = tokio::join!(
            session.rows(SHARED_ROLE, &by_name),
            session.rows(BEYOND, &all),
            session.rows(lacking_text, parameters),
        );
        let mut look = Look::default();
        if let Some(row) = role?.first() {
            let (oid, comment) = (column(row, 0)?, column::<Option<String>>(row, 1)?);
            let wanted = Right::Shared { scope: scope.clone(), level }.entitlement();
            let marked = permission_of(&self.context, &facts.identity, oid, comment.as_deref());
            look.foreign = marked != Some(wanted);
            if !look.foreign {
                look.role = Some(Shared { name, oid, comment: comment.unwrap_or_default() });
            }
        }
        for row in beyond? {
            look.owns |= column::<String>(&row, 0)? == "o";
            look.beyond.push(column(&row, 1)?);
        }
        for row in lacking? {
            let kind: String = column(&row, 0)?;
            if kind == "here" {
                look.here = true;
                continue;
            }
            let name = column::<Option<String>>(&row, 2)?.unwrap_or_default();
            look.hollow |= kind == "database"
                || (table.is_some() && kind != "sequence")
                || (kind == "schema" && schema.is_some());
            look.lacking.push(Lacking { kind, schema: column(&row, 1)?, name, more: column(&row, 3)? });
        }
        Ok(look)
    }

    /// Returns the permission role of a scope, made and brought to its definition if need be.
    ///
    /// # Errors
    /// [`Code::PERMISSION_ROLE_WIDER`] when it holds more, [`Code::RESOURCE_MISSING`], or sorted.
    pub(crate) async fn permission_role(&self, scope: &Scope, level: Level) -> Result<Shared, Fault> {
        let bring_about = async {
            let mut before: Vec<Lacking> = vec![];
            let mut handed_over = false;
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
                if !look.beyond.is_empty() {
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
        for try_again in [true, true, false] {
            let session = self.pool.session(scope.database(), Purpose::Open).await?;
            let give = async {
                let facts = session.facts()?;
                let definition = Definition::of(scope, level, facts.version);
                session.run(statements::BEGIN, Stage::Harmless).await?;
                session.run(&statements::lock_shared(facts.superuser), Stage::Harmless).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheap_look_serves_only_those_who_asked_before_it() {
        let millis = Duration::from_millis;
        let began = Instant::now() + millis(10);
        let table = [
            ("cheap, asked before", millis(5), -1_i32, true),
            ("cheap, asked at once", millis(5), 0, true),
            ("cheap, asked after", millis(5), 1, false),
            ("expensive, a second later", millis(100), 1_000, true),
            ("expensive, too long ago", millis(100), 2_001, false),
            ("very expensive, a minute later", millis(10_000), 60_000, true),
            ("very expensive, more than a minute", millis(10_000), 60_001, false),
        ];
        for (name, cost, after, expected) in table {
            let away = millis(u64::from(after.unsigned_abs()));
            let asked = if after < 0 { began - away } else { began + away };
            assert_eq!(LookAgain { began, cost }.serves(asked), expected, "{name}");
        }
    }
}
