//! Memberships of accounts: what they are, and which ones entitlements stand for.

use std::collections::BTreeSet;

use model::{AccountRef, Code, EntitlementSet, Failure};
use tokio_postgres::Row;

use crate::account::column;
use crate::catalogue::MEMBERSHIPS;
use crate::connect::Facts;
use crate::faults::Fault;
use crate::quote::Ident;
use crate::roles::Shared;
use crate::scope::Right;
use crate::session::Purpose;
use crate::statements;
use crate::target::PostgresTarget;

/// What an account is to be a member of.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) shared: Vec<Shared>,
    pub(crate) attached: Vec<String>,
}

/// One membership of an account, as read.
pub(crate) struct Membership {
    pub(crate) member: u32,
    pub(crate) role: u32,
    pub(crate) name: String,
    pub(crate) admin: bool,
    pub(crate) inherits: bool,
    pub(crate) sets: bool,
    pub(crate) grantor: Option<String>,
    pub(crate) comment: Option<String>,
    /// The role owns objects.
    pub(crate) owns: bool,
    /// It is the common role, and has something to give.
    pub(crate) gives: bool,
}

impl Membership {
    pub(crate) fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            member: column(row, 0)?,
            role: column(row, 1)?,
            name: column(row, 2)?,
            admin: column(row, 3)?,
            inherits: column(row, 4)?,
            sets: column(row, 5)?,
            grantor: column(row, 6)?,
            comment: column(row, 7)?,
            owns: column(row, 8)?,
            gives: column(row, 9)?,
        })
    }

    pub(crate) fn leave(&self, member: &Ident, facts: &Facts) -> String {
        let grantor = self.grantor.as_deref().map(Ident::found);
        statements::leave(&Ident::found(&self.name), member, grantor.as_ref(), facts.version)
    }
}

impl PostgresTarget {
    /// Ends the memberships of an account that do not stand for anything wanted.
    pub(crate) async fn take_away(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Fault> {
        let Some((known, role)) = self.find_for_closing(account).await? else { return Ok(()) };
        let names: BTreeSet<String> = wanted
            .iter()
            .filter_map(|entitlement| match Right::of(entitlement).ok()? {
                Right::Shared { scope, level } => self.permission_role_name(&scope, level).ok(),
                Right::Attach { role } => Some(role),
            })
            .collect();
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let facts = session.facts()?.clone();
        let outcome = session.rows(MEMBERSHIPS, &[&vec![role.oid]]).await;
        let mut deed = vec![];
        for row in session.settle(outcome).await? {
            let membership = Membership::of(&row)?;
            if membership.name != statements::MANAGED && !names.contains(&membership.name) {
                deed.push(membership.leave(&Ident::found(&known.name), &facts));
            }
        }
        if deed.is_empty() { Ok(()) } else { self.act(&known, &deed).await }
    }

    /// Returns the roles that stand for entitlements, made if need be.
    pub(crate) async fn memberships_for(&self, wanted: &EntitlementSet) -> Result<Wanted, Fault> {
        let mut found = Wanted::default();
        for entitlement in wanted.iter() {
            match Right::of(entitlement)? {
                Right::Shared { scope, .. } if scope.is_the_systems() => {
                    return Err(Failure::refused(
                        Code::PERMISSION_REFUSED,
                        "the schema is the server's own, with the verifiers of every login in it: nothing is given there",
                    )
                    .into());
                }
                Right::Shared { scope, level } => {
                    found.shared.push(self.permission_role(&scope, level).await?);
                }
                Right::Attach { role } => found.attached.push(role),
            }
        }
        Ok(found)
    }
}
