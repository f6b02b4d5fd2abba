//! Reading accounts back: login, entitlements, excess, sessions, mark, and what may outlive a close.
//!
//! Entitlements are memberships in permission roles of ours, told back by the roles' marks; each role is
//! looked at as well, and what it holds beyond its definition is the account's excess.

use std::collections::BTreeMap;

use model::observed::Present;
use model::{
    AccountName, AccountRef, Code, EntitlementSet, Login, Observed, Residual, ResidualKind, Timestamp,
};
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::account::{Found, Role, column, estranged, find, known_oid, permission_of};
use crate::catalogue::{ACCOUNT, ACCOUNTS, ATTACHABLE, DEPENDING, LIVING, MEMBERSHIPS, ONWARD};
use crate::connect::Facts;
use crate::faults::Fault;
use crate::memberships::Membership;
use crate::quote::shown;
use crate::scope::Right;
use crate::session::{Parameter, Purpose, Session};
use crate::statements::MANAGED;
use crate::target::PostgresTarget;

/// What one page of accounts is, before their permission roles are looked at.
struct Page {
    facts: Facts,
    time: Option<Timestamp>,
    drafts: BTreeMap<u32, Draft>,
}

struct Draft {
    role: Role,
    memberships: Vec<Membership>,
    excess: Vec<String>,
    residual: Vec<Residual>,
    sessions: u32,
}

/// What is asked once for all accounts of a page: permission roles as they are from a moment on, and whether roles of
/// the target's owner may be attached to.
struct Asked {
    at: Instant,
    attached: BTreeMap<u32, bool>,
}

fn residual(kind: ResidualKind, detail: String) -> Residual {
    Residual { kind, detail, ends_at: None }
}

impl PostgresTarget {
    pub(crate) async fn observe_account(&self, account: &AccountRef) -> Result<Observed, Fault> {
        let session = self.pool.session(&self.home, Purpose::Close).await?;
        let outcome = self.read_one(&session, account).await;
        let page = session.settle(outcome).await?;
        let time = page.time;
        let found = self.present(page, Purpose::Close).await?;
        Ok(Observed { target_time: time, account: found.into_iter().next().map(Box::new) })
    }

    async fn read_one(&self, session: &Session, account: &AccountRef) -> Result<Page, Fault> {
        session.prepare(&[ACCOUNT, MEMBERSHIPS, ONWARD, DEPENDING, LIVING]).await?;
        let facts = session.facts()?.clone();
        let wanted = known_oid(account.immutable.as_ref());
        let guess = wanted.unwrap_or_default();
        // Most often the OID is known and right: then everything is read in one exchange.
        let by_both: [Parameter<'_>; 2] = [&guess, &account.name.0];
        let guesses = [guess];
        let (found, holdings) = tokio::join!(session.rows(ACCOUNT, &by_both), read(session, &guesses));
        let (mut roles, mut time) = (vec![], None);
        for row in found? {
            time = Some(Timestamp::from_millis(column(&row, 0)?));
            roles.extend(Role::of(&row)?);
        }
        match find(roles, account, &self.context, &facts.identity, facts.ourselves) {
            Found::Ours(role) if Some(role.oid) == wanted => Page::of(facts, time, vec![role], holdings?),
            Found::Ours(role) => {
                let holdings = read(session, &[role.oid]).await?;
                Page::of(facts, time, vec![role], holdings)
            }
            Found::Foreign(role) if wanted.is_none() && role.claims(account.id, &self.context) => {
                Err(estranged().into())
            }
            Found::Absent | Found::Foreign(_) => Page::of(facts, time, vec![], Holdings::default()),
        }
    }

    /// Finishes what a page of accounts is, by looking at their permission roles.
    async fn present(&self, page: Page, purpose: Purpose) -> Result<Vec<Present>, Fault> {
        let mut found = vec![];
        let mut asked = Asked { at: Instant::now(), attached: BTreeMap::new() };
        for (_, draft) in page.drafts {
            let Draft { role, memberships, mut excess, residual, sessions } = draft;
            let mut entitlements = EntitlementSet::nothing();
            for membership in &memberships {
                self.tell(membership, &page.facts, purpose, &mut asked, &mut entitlements, &mut excess)
                    .await?;
            }
            excess.sort();
            excess.dedup();
            found.push(Present {
                name: AccountName(role.name.clone()),
                immutable: role.immutable(),
                login: if role.can_log_in { Login::Open } else { Login::Shut },
                entitlements,
                excess,
                sessions,
                expires: role.expires,
                mark: role.mark(&self.context, &page.facts.identity),
                residual,
            });
        }
        Ok(found)
    }

    /// Tells what a membership gives: an entitlement, or something beyond.
    async fn tell(
        &self,
        membership: &Membership,
        facts: &Facts,
        purpose: Purpose,
        asked: &mut Asked,
        entitlements: &mut EntitlementSet,
        excess: &mut Vec<String>,
    ) -> Result<(), Fault> {
        let name = shown(&membership.name);
        if membership.admin {
            excess.push(format!("may give membership in {name} on"));
        }
        if membership.sets && facts.version.memberships_have_options() {
            excess.push(format!("may act as {name}"));
        }
        if membership.name == MANAGED {
            if membership.gives {
                excess.push(format!("{name}, the common role of all accounts, has rights"));
            }
            return Ok(());
        }
        let ours =
            permission_of(&self.context, &facts.identity, membership.role, membership.comment.as_deref());
        let Some(entitlement) = ours else {
            let attached = Right::Attach { role: membership.name.clone() };
            let may = match asked.attached.get(&membership.role) {
                Some(known) => *known,
                None => self.may_be_attached(&membership.name, purpose).await?,
            };
            asked.attached.insert(membership.role, may);
            if may {
                entitlements.insert(attached.entitlement());
            } else {
                excess.push(format!("membership in {name}"));
            }
            return Ok(());
        };
        let Ok(Right::Shared { scope, level }) = Right::of(&entitlement) else {
            excess.push(format!("membership in {name}"));
            return Ok(());
        };
        match self.look_since(asked.at, &scope, level, purpose).await {
            Ok(look) => {
                excess.extend(look.beyond.iter().map(|what| format!("through {name}: {what}")));
                if look.here && !look.hollow {
                    entitlements.insert(entitlement);
                } else {
                    excess.push(format!("membership in {name}, which has lost its resource or rights"));
                }
            }
            Err(fault) if fault.failure.code == Code::RESOURCE_MISSING => {
                excess.push(format!("membership in {name}, whose database is gone"));
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn may_be_attached(&self, role: &str, purpose: Purpose) -> Result<bool, Fault> {
        let session = self.pool.session(&self.home, purpose).await?;
        let outcome = session.rows(ATTACHABLE, &[&role]).await;
        let rows = session.settle(outcome).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        for n in 1..=3 {
            if column::<Option<bool>>(row, n)?.unwrap_or(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a page of a survey.
    pub(crate) async fn sight(&self, oids: &[u32]) -> Result<Vec<Present>, Fault> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let read = async {
            session.prepare(&[ACCOUNTS, MEMBERSHIPS, ONWARD, DEPENDING, LIVING]).await?;
            let facts = session.facts()?.clone();
            let by_oids: [Parameter<'_>; 1] = [&oids];
            let (found, holdings) = tokio::join!(session.rows(ACCOUNTS, &by_oids), read(&session, oids));
            let mut roles = vec![];
            for row in found? {
                roles.extend(Role::of(&row)?);
            }
            Page::of(facts, None, roles, holdings?)
        };
        let outcome = read.await;
        let page = session.settle(outcome).await?;
        self.present(page, Purpose::Read).await
    }
}

/// What the catalogue says of some accounts, besides what they are.
#[derive(Default)]
struct Holdings {
    memberships: Vec<Row>,
    onward: Vec<Row>,
    depending: Vec<Row>,
    living: Vec<Row>,
}

/// Reads what accounts hold, in one exchange.
async fn read(session: &Session, oids: &[u32]) -> Result<Holdings, Fault> {
    let ourselves = session.facts()?.ourselves;
    let by_oids: [Parameter<'_>; 1] = [&oids];
    let and_ourselves: [Parameter<'_>; 2] = [&oids, &ourselves];
    let (memberships, onward, depending, living) = tokio::join!(
        session.rows(MEMBERSHIPS, &by_oids),
        session.rows(ONWARD, &and_ourselves),
        session.rows(DEPENDING, &by_oids),
        session.rows(LIVING, &by_oids),
    );
    Ok(Holdings { memberships: memberships?, onward: onward?, depending: depending?, living: living? })
}

impl Page {
    /// Puts together what was read of some accounts.
    fn of(
        facts: Facts,
        time: Option<Timestamp>,
        roles: Vec<Role>,
        holdings: Holdings,
    ) -> Result<Self, Fault> {
        let mut page = Self { facts, time, drafts: BTreeMap::new() };
        for role in roles {
            let excess =
                role.attributes.iter().map(|attribute| format!("attribute {}", attribute.word())).collect();
            let draft = Draft { memberships: vec![], excess, residual: vec![], sessions: 0, role };
            page.drafts.insert(draft.role.oid, draft);
        }
        for row in &holdings.memberships {
            let membership = Membership::of(row)?;
            if let Some(draft) = page.drafts.get_mut(&membership.member) {
                draft.memberships.push(membership);
            }
        }
        for row in &holdings.onward {
            if let Some(draft) = page.drafts.get_mut(&column(row, 0)?) {
                let (role, member): (String, String) = (column(row, 1)?, column(row, 2)?);
                let detail = format!("membership of {} in {}", shown(&member), shown(&role));
                draft.residual.push(residual(ResidualKind::OnwardGrant, detail));
            }
        }
        for row in &holdings.depending {
            if let Some(draft) = page.drafts.get_mut(&column(row, 0)?) {
                draft.take_depending(row)?;
            }
        }
        for row in &holdings.living {
            if let Some(draft) = page.drafts.get_mut(&column(row, 0)?) {
                draft.take_living(row)?;
            }
        }
        Ok(page)
    }
}

impl Draft {
    fn take_depending(&mut self, row: &Row) -> Result<(), Fault> {
        let database: Option<String> = column(row, 2)?;
        let (kind, class): (String, String) = (column(row, 4)?, column(row, 5)?);
        let count: i64 = column(row, 6)?;
        let place = match (&database, column::<u32>(row, 1)?) {
            (Some(database), _) => format!("in database {}", shown(database)),
            (None, 0) => "shared by all databases".into(),
            // The database is gone, and with it what was there.
            (None, _) => return Ok(()),
        };
        match kind.as_str() {
            "a" => self.excess.push(format!("rights of its own on {count} × {class} {place}")),
            "x" => {
                let detail = format!("rights on {count} × {class} of other accounts {place}");
                self.residual.push(residual(ResidualKind::Other, detail));
            }
            "o" => {
                self.residual.push(residual(ResidualKind::OwnedObjects, format!("{count} × {class} {place}")))
            }
            _ => {}
        }
        Ok(())
    }

    fn take_living(&mut self, row: &Row) -> Result<(), Fault> {
        if column::<String>(row, 1)? == "s" {
            self.sessions = u32::try_from(column::<i64>(row, 4)?).unwrap_or(u32::MAX);
            return Ok(());
        }
        let transaction: String = column::<Option<String>>(row, 2)?.unwrap_or_default();
        let database: String = column::<Option<String>>(row, 3)?.unwrap_or_default();
        let detail = format!("{} in database {}", shown(&transaction), shown(&database));
        self.residual.push(residual(ResidualKind::PreparedTransaction, detail));
        Ok(())
    }
}
