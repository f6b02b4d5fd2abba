//! Looking at a permission role: what it has beyond its definition, and what it lacks.
//!
//! A look is exact and is shared by all orders that asked before it began. Only a good look at a scope of
//! very many objects, where looking takes long, is taken again for a while, see [`LookAgain`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;

use crate::account::{PERMISSION_ROLE, column, our_mark, permission_of, read_mark};
use crate::catalogue::{BEYOND, LACKING_IN_SCOPE, LACKING_ON_TABLE, SHARED_ROLE, SHARED_ROLES};
use crate::faults::Fault;
use crate::roles::{PATIENCE, Shared};
use crate::scope::{Level, Right, Scope};
use crate::session::{Parameter, Purpose, Session};
use crate::statements::Definition;
use crate::target::PostgresTarget;

/// What a look at a permission role found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// The role, when it is there and marked as ours for this scope.
    pub(crate) role: Option<Shared>,
    /// Something of that name is there that is not marked so.
    pub(crate) foreign: bool,
    /// What it has beyond its definition, in words.
    pub(crate) beyond: Vec<String>,
    /// It owns objects: somebody set the role and made them. No reason to refuse it to others.
    pub(crate) owns: bool,
    /// Accounts of ours that it was made a member of: before 15 any role may give membership in itself.
    pub(crate) joined: Vec<String>,
    /// Something beyond is more than that.
    pub(crate) wider: bool,
    pub(crate) lacking: Vec<Lacking>,
    /// The resource is there.
    pub(crate) here: bool,
    /// It lacks what makes it worth anything: to connect, to use the schema, to use the table.
    pub(crate) hollow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) kind: String,
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) more: Option<String>,
}

/// How long a look may be taken again.
#[derive(Debug, Clone, Copy)]
struct LookAgain {
    began: Instant,
    keeps: Duration,
}

impl LookAgain {
    /// Cheaper looks are taken anew for every order.
    const CHEAP: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(60);

    /// Only a good look at a wide scope keeps, and only when it took long: twenty times as long as it took.
    fn at(began: Instant, cost: Duration, scope: &Scope, look: &Look) -> Self {
        let wide = scope.table().is_none();
        let keeps = if wide && look.is_good() && cost >= Self::CHEAP {
            (cost * 20).min(Self::LONGEST)
        } else {
            Duration::ZERO
        };
        Self { began, keeps }
    }

    /// Returns true when a look serves an order that asked at `asked`.
    fn serves(self, asked: Instant) -> bool {
        self.began + self.keeps >= asked
    }
}

impl Look {
    /// Returns true when the role is there, ours, and exactly what it is to be.
    fn is_good(&self) -> bool {
        self.role.is_some() && self.here && self.beyond.is_empty() && self.lacking.is_empty()
    }
}

/// How many permission roles are remembered at once; beyond, remembering begins anew.
const MOST_SLOTS: usize = 10_000;

type Slot = Arc<tokio::sync::Mutex<Option<(LookAgain, Look)>>>;

/// The permission roles that this process has looked at.
#[derive(Default)]
pub(crate) struct RoleBook {
    slots: Mutex<BTreeMap<(Scope, Level), Slot>>,
    pub(crate) managed: tokio::sync::Mutex<Option<Shared>>,
}

impl RoleBook {
    fn slot(&self, scope: &Scope, level: Level) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_SLOTS {
            slots.clear();
        }
        Arc::clone(slots.entry((scope.clone(), level)).or_default())
    }

    /// Forgets one look, because the role was changed.
    pub(crate) async fn outdate(&self, scope: &Scope, level: Level) {
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

/// A permission role of ours that is on the target.
pub(crate) struct OurRole {
    pub(crate) name: String,
    scope: Scope,
    level: Level,
}

impl PostgresTarget {
    /// Lists every permission role of ours, by its mark.
    pub(crate) async fn our_permission_roles(&self) -> Result<Vec<OurRole>, Fault> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let identity = session.facts()?.identity.clone();
        let outcome = session.rows(SHARED_ROLES, &[]).await;
        let mut roles = vec![];
        for row in session.settle(outcome).await? {
            let (oid, name): (u32, String) = (column(&row, 0)?, column(&row, 1)?);
            let comment: Option<String> = column(&row, 2)?;
            let state = read_mark(&self.context, &identity, oid, comment.as_deref());
            if our_mark(&state, &self.context).is_none_or(|mark| mark.draft.account != PERMISSION_ROLE) {
                continue;
            }
            let entitlement = permission_of(&self.context, &identity, oid, comment.as_deref());
            if let Some(Ok(Right::Shared { scope, level })) = entitlement.as_ref().map(Right::of) {
                roles.push(OurRole { name, scope, level });
            }
        }
        Ok(roles)
    }

    /// Looks at a permission role of ours without changing it.
    pub(crate) async fn look_at(&self, role: &OurRole) -> Result<Look, Fault> {
        self.look(&role.scope, role.level, Purpose::Read).await
    }

    /// Adds the permission roles of ours that hold more than their definition. One that cannot be looked at keeps
    /// none of the others back; the first reason is told in the end.
    pub(crate) async fn add_wider_roles(&self, found: &mut Vec<String>) -> Result<(), Fault> {
        let mut outcome = Ok(());
        for role in self.our_permission_roles().await? {
            match self.look_at(&role).await {
                Ok(look) if look.wider => found.push(role.name),
                Ok(_) => {}
                // The database is gone: nothing can be held there.
                Err(fault) if fault.is(&SqlState::INVALID_CATALOG_NAME) => {}
                Err(fault) => outcome = outcome.and(Err(fault)),
            }
        }
        outcome
    }

    /// Looks at a permission role, or takes a look that serves.
    pub(crate) async fn look(&self, scope: &Scope, level: Level, purpose: Purpose) -> Result<Look, Fault> {
        self.look_since(Instant::now(), scope, level, purpose).await
    }

    /// The same for a question that was asked at a moment: for all accounts of one page it is the same moment.
    pub(crate) async fn look_since(
        &self,
        asked: Instant,
        scope: &Scope,
        level: Level,
        purpose: Purpose,
    ) -> Result<Look, Fault> {
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
        *known = Some((LookAgain::at(began, began.elapsed(), scope, &look), look.clone()));
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
            match column::<String>(&row, 0)?.as_str() {
                "o" => look.owns = true,
                "m" => look.joined.extend(column::<Option<String>>(&row, 2)?),
                _ => look.wider = true,
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_serves_those_who_asked_before_it_and_a_long_one_for_a_while() {
        let millis = Duration::from_millis;
        let began = Instant::now() + millis(10);
        let schema = Scope::Schema { database: "app".into(), schema: "s".into() };
        let table = Scope::Table { database: "app".into(), schema: "s".into(), table: "t".into() };
        let role = Shared { name: "p".into(), oid: 1, comment: String::new() };
        let good = Look { role: Some(role), here: true, ..Look::default() };
        let wider = Look { beyond: vec!["more".into()], ..good.clone() };
        let rows = [
            ("asked before", &schema, &good, millis(5), -1_i32, true),
            ("asked at once", &schema, &good, millis(5), 0, true),
            ("asked after a cheap one", &schema, &good, millis(249), 1, false),
            ("expensive, five seconds later", &schema, &good, millis(250), 5_000, true),
            ("expensive, too long ago", &schema, &good, millis(250), 5_001, false),
            ("very expensive, a minute later", &schema, &good, millis(10_000), 60_000, true),
            ("very expensive, more than a minute", &schema, &good, millis(10_000), 60_001, false),
            ("expensive, one table", &table, &good, millis(10_000), 1, false),
            ("expensive, and wider", &schema, &wider, millis(10_000), 1, false),
        ];
        for (name, scope, look, cost, after, expected) in rows {
            let away = millis(u64::from(after.unsigned_abs()));
            let asked = if after < 0 { began - away } else { began + away };
            assert_eq!(LookAgain::at(began, cost, scope, look).serves(asked), expected, "{name}");
        }
    }
}
