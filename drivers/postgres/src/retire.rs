//! Retiring: everything of ours that accounts shared goes, role by role, with its rights and defaults.

use driver::RetireReport;
use model::{Code, Failure, Residual, ResidualKind};

use crate::account::{HEIR, PERMISSION_ROLE, column, our_mark, read_mark};
use crate::catalogue::{COMMON_USE, MEMBERS, SHARED_ROLE, SHARED_ROLES};
use crate::close::Known;
use crate::faults::{Fault, Stage};
use crate::quote::{Ident, shown};
use crate::roles::COMMON;
use crate::session::Purpose;
use crate::statements::{self, MANAGED};
use crate::target::PostgresTarget;

/// A shared role of ours.
struct OurRole {
    oid: u32,
    name: String,
    heir: bool,
}

impl PostgresTarget {
    pub(crate) async fn retire_all(&self) -> Result<RetireReport, Fault> {
        let mut report = RetireReport::default();
        for role in self.our_roles().await? {
            let (owned, closed) = self.places(role.oid, &["o"], Purpose::Close).await?;
            if role.heir && (!owned.is_empty() || closed) {
                report.left.push(left(
                    ResidualKind::OwnedObjects,
                    format!("{} owns what accounts left behind: look at it, then drop it", shown(&role.name)),
                ));
                continue;
            }
            if self.members(role.oid).await? > 0 {
                let detail = format!("{} has members: close them first", shown(&role.name));
                report.left.push(left(ResidualKind::OnwardGrant, detail));
                continue;
            }
            if !owned.is_empty() {
                self.hand_over(role.oid, &role.name, Purpose::Close).await?;
            }
            match self.drop_shared(&role).await {
                Ok(()) => report.removed.push(format!("role {}", shown(&role.name))),
                Err(fault) if fault.failure.code == Code::OWNED_OBJECTS => {
                    let detail = format!("{} cannot be dropped: {}", shown(&role.name), fault.failure.detail);
                    report.left.push(left(ResidualKind::Other, detail));
                }
                Err(fault) => return Err(fault),
            }
        }
        if self.drop_common().await? {
            report.removed.push(format!("role {}", shown(MANAGED)));
        }
        self.book.forget().await;
        Ok(report)
    }

    /// Returns the shared roles that carry our mark; permission roles first, the heir last.
    async fn our_roles(&self) -> Result<Vec<OurRole>, Fault> {
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let outcome = session.rows(SHARED_ROLES, &[]).await;
        let identity = session.facts()?.identity.clone();
        let mut found = vec![];
        for row in session.settle(outcome).await? {
            let (oid, comment): (u32, Option<String>) = (column(&row, 0)?, column(&row, 2)?);
            let state = read_mark(&self.context, &identity, oid, comment.as_deref());
            let Some(mark) = our_mark(&state, &self.context) else { continue };
            if mark.draft.account == PERMISSION_ROLE || mark.draft.account == HEIR {
                found.push(OurRole { oid, name: column(&row, 1)?, heir: mark.draft.account == HEIR });
            }
        }
        found.sort_by_key(|role| role.heir);
        Ok(found)
    }

    async fn members(&self, oid: u32) -> Result<i64, Fault> {
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let outcome = session.rows(MEMBERS, &[&oid]).await;
        let rows = session.settle(outcome).await?;
        rows.first().map_or(Ok(0), |row| column(row, 0))
    }

    /// Takes a shared role's rights and defaults in every database, then the role.
    async fn drop_shared(&self, role: &OurRole) -> Result<(), Fault> {
        let (places, closed) = self.places(role.oid, &["a", "d", "r", "i", "t", "x"], Purpose::Close).await?;
        if closed {
            let detail = "it has rights in a database that takes no connections";
            return Err(Failure::refused(Code::OWNED_OBJECTS, detail).into());
        }
        let name = Ident::found(&role.name);
        let known = Known { oid: role.oid, name: role.name.clone(), comment: None };
        for database in places {
            self.drop_owned(&known, &name, &database, true).await?;
        }
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let superuser = session.facts()?.superuser;
        let script = statements::script(&[
            statements::BEGIN.to_owned(),
            statements::verify(role.oid, &role.name, None, superuser),
            statements::drop_role(&name),
            statements::verify_gone(role.oid),
            statements::IN_TIME.to_owned(),
            statements::COMMIT.to_owned(),
        ]);
        let outcome = session.run(&script, Stage::Lasting).await;
        session.settle(outcome).await
    }

    /// Drops the common role when it is ours to drop and nobody uses it: no member, and no role of any
    /// connector is left on the server.
    async fn drop_common(&self) -> Result<bool, Fault> {
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let drop_it = async {
            let rows = session.rows(SHARED_ROLE, &[&MANAGED]).await?;
            let Some(row) = rows.first() else { return Ok(false) };
            let (oid, comment): (u32, Option<String>) = (column(row, 0)?, column(row, 1)?);
            let in_use = session.rows(COMMON_USE, &[&MANAGED]).await?;
            let used = in_use.first().map_or(Ok(true), |row| {
                Ok::<bool, Fault>(column::<i64>(row, 0)? > 0 || column::<i64>(row, 1)? > 0)
            })?;
            if used || comment.as_deref() != Some(COMMON) {
                return Ok(false);
            }
            let superuser = session.facts()?.superuser;
            let script = statements::script(&[
                statements::BEGIN.to_owned(),
                statements::verify(oid, MANAGED, Some(COMMON), superuser),
                statements::drop_role(&Ident::found(MANAGED)),
                statements::IN_TIME.to_owned(),
                statements::COMMIT.to_owned(),
            ]);
            session.run(&script, Stage::Lasting).await?;
            Ok(true)
        };
        let outcome = drop_it.await;
        session.settle(outcome).await
    }
}

fn left(kind: ResidualKind, detail: String) -> Residual {
    Residual { kind, detail, ends_at: None }
}
