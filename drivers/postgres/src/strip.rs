//! Taking everything that an account holds: attributes, memberships, settings, and rights of its own in
//! every database, also those that somebody added by hand.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountRef, Code};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::account::{PERMISSION_ROLE, Role, column, known_oid, our_mark, read_mark};
use crate::catalogue::{ACCOUNT, DEPENDING, LENT, MEMBERSHIPS, ONWARD, SETTINGS, direct_rights};
use crate::close::{Known, remains};
use crate::connect::Facts;
use crate::faults::{Fault, Stage};
use crate::memberships::Membership;
use crate::quote::Ident;
use crate::session::{Parameter, Purpose, Session};
use crate::statements::{self, MANAGED};
use crate::target::PostgresTarget;

/// How often the account is read again after a round that found something.
const ROUNDS: usize = 3;

/// What one account holds, as far as one database can tell.
struct Holdings {
    deed: Vec<String>,
    /// Permission roles of ours that own objects: somebody set the role and made them.
    owning: Vec<(u32, String)>,
    /// It has rights of its own somewhere.
    direct: bool,
}

impl PostgresTarget {
    /// Takes everything from an account.
    pub(crate) async fn strip(&self, account: &AccountRef) -> Result<(), Fault> {
        for _ in 0..ROUNDS {
            let session = self.pool.session(&self.home, Purpose::Close).await?;
            let outcome = self.find_holdings(&session, account).await;
            let Some((known, holdings)) = session.settle(outcome).await? else { return Ok(()) };
            let simple = !holdings.direct && holdings.owning.is_empty();
            if !(simple && holdings.deed.is_empty()) {
                self.take(&known, holdings).await?;
            }
            // Memberships and attributes went in one verified transaction; rights in databases are read again.
            if simple {
                return Ok(());
            }
        }
        Err(remains(Code::BUSY, "rights of the account came back while they were taken"))
    }

    async fn find_holdings(
        &self,
        session: &Session,
        account: &AccountRef,
    ) -> Result<Option<(Known, Holdings)>, Fault> {
        session.prepare(&[ACCOUNT, MEMBERSHIPS, ONWARD, LENT, DEPENDING, SETTINGS]).await?;
        // Most often the OID is known and right: then everything is read in one exchange.
        let guess = known_oid(account.immutable.as_ref()).unwrap_or_default();
        let (found, guessed) = tokio::join!(self.find_on(session, account), held(session, guess));
        let Some((known, role)) = found? else { return Ok(None) };
        let held = if role.oid == guess { guessed? } else { held(session, role.oid).await? };
        Ok(Some((known, self.holdings(session.facts()?, &role, &held)?)))
    }

    async fn take(&self, known: &Known, holdings: Holdings) -> Result<(), Fault> {
        // Memberships first: they carry most, and what follows must not keep them waiting.
        let outcome = match holdings.deed.as_slice() {
            [] => Ok(()),
            deed => match self.act(known, deed).await {
                // Something in it is beyond an admin who is no superuser: that must not keep the rest.
                Err(fault) if fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    self.one_by_one(known, deed).await
                }
                outcome => outcome,
            },
        };
        for (oid, name) in &holdings.owning {
            self.hand_over(*oid, name, Purpose::Close).await?;
        }
        if holdings.direct {
            self.strip_direct(known.oid, Purpose::Close).await?;
        }
        outcome
    }

    /// Does what can be done, each in a transaction of its own, and tells the first failure.
    async fn one_by_one(&self, known: &Known, deed: &[String]) -> Result<(), Fault> {
        let mut outcome = Ok(());
        for statement in deed {
            let done = self.act(known, std::slice::from_ref(statement)).await;
            outcome = outcome.and(done);
        }
        outcome
    }

    fn holdings(&self, facts: &Facts, role: &Role, held: &Held) -> Result<Holdings, Fault> {
        let account = Ident::found(&role.name);
        let mut deed = vec![];
        if !role.attributes.is_empty() {
            deed.push(statements::strip_attributes(&account, &role.attributes));
        }
        for row in &held.onward {
            deed.push(take_back(row, facts)?);
        }
        let mut owning = BTreeMap::new();
        for row in &held.memberships {
            let membership = Membership::of(row)?;
            if membership.owns && (membership.name == MANAGED || self.is_permission_role(&membership, facts))
            {
                owning.insert(membership.role, membership.name.clone());
            }
            // The common role says what the account is; it stays as long as it gives nothing.
            if membership.name != MANAGED || membership.admin || membership.gives {
                deed.push(membership.leave(&account, facts));
            }
        }
        for row in &held.settings {
            let database: Option<String> = column(row, 0)?;
            deed.push(statements::reset_settings(&account, database.as_deref().map(Ident::found).as_ref()));
        }
        let mut direct = false;
        for row in &held.depending {
            direct |= column::<String>(row, 4)? == "a";
        }
        Ok(Holdings { deed, owning: owning.into_iter().collect(), direct })
    }

    pub(crate) fn is_permission_role(&self, membership: &Membership, facts: &Facts) -> bool {
        let state = read_mark(&self.context, &facts.identity, membership.role, membership.comment.as_deref());
        our_mark(&state, &self.context).is_some_and(|mark| mark.draft.account == PERMISSION_ROLE)
    }

    /// Returns the databases in which something of a role is, and whether one takes no connections.
    pub(crate) async fn places(
        &self,
        oid: u32,
        kinds: &[&str],
        purpose: Purpose,
    ) -> Result<(BTreeSet<String>, bool), Fault> {
        let session = self.pool.session(&self.home, purpose).await?;
        let outcome = session.rows(DEPENDING, &[&vec![oid]]).await;
        let mut places = BTreeSet::new();
        let mut closed = false;
        for row in session.settle(outcome).await? {
            if !kinds.contains(&column::<String>(&row, 4)?.as_str()) {
                continue;
            }
            let (shared, database) = (column::<u32>(&row, 1)? == 0, column::<Option<String>>(&row, 2)?);
            match database {
                Some(database) if column(&row, 3)? => drop(places.insert(database)),
                Some(_) => closed = true,
                None if shared => drop(places.insert(self.home.clone())),
                // The database is gone, and with it what was there.
                None => {}
            }
        }
        Ok((places, closed))
    }

    /// Takes back rights that an account holds directly, and those that it gave on, in every database.
    pub(crate) async fn strip_direct(&self, oid: u32, purpose: Purpose) -> Result<(), Fault> {
        let (places, closed) = self.places(oid, &["a"], purpose).await?;
        for database in places {
            for _ in 0..ROUNDS {
                let session = self.pool.session(&database, purpose).await?;
                let outcome = strip_here(&session, oid).await;
                if session.settle(outcome).await? == 0 {
                    break;
                }
            }
        }
        if closed {
            return Err(remains(
                Code::RIGHT_MISSING,
                "the account has rights in a database that takes no connections",
            ));
        }
        Ok(())
    }
}

/// What the catalogue says of one account.
struct Held {
    memberships: Vec<Row>,
    onward: Vec<Row>,
    depending: Vec<Row>,
    settings: Vec<Row>,
}

async fn held(session: &Session, oid: u32) -> Result<Held, Fault> {
    let ourselves = session.facts()?.ourselves;
    let oids = vec![oid];
    let by_oids: [Parameter<'_>; 1] = [&oids];
    let and_ourselves: [Parameter<'_>; 2] = [&oids, &ourselves];
    let by_oid: [Parameter<'_>; 1] = [&oid];
    // A superuser acts in anybody's place without a membership.
    let lent = async {
        if session.facts()?.superuser { Ok(vec![]) } else { session.rows(LENT, &and_ourselves).await }
    };
    let (memberships, onward, lent, depending, settings) = tokio::join!(
        session.rows(MEMBERSHIPS, &by_oids),
        session.rows(ONWARD, &and_ourselves),
        lent,
        session.rows(DEPENDING, &by_oids),
        session.rows(SETTINGS, &by_oid),
    );
    let mut onward = onward?;
    onward.extend(lent?);
    Ok(Held { memberships: memberships?, onward, depending: depending?, settings: settings? })
}

/// Takes back what an account gave on, or what was lent by it.
fn take_back(row: &Row, facts: &Facts) -> Result<String, Fault> {
    let (role, member): (String, String) = (column(row, 1)?, column(row, 2)?);
    let grantor = column::<Option<String>>(row, 3)?.as_deref().map(Ident::found);
    Ok(statements::leave(&Ident::found(&role), &Ident::found(&member), grantor.as_ref(), facts.version))
}

/// Runs the statements that the server wrote, each as whoever gave the right: only they, or the owner, can
/// take it back. Returns how many there were.
async fn strip_here(session: &Session, oid: u32) -> Result<usize, Fault> {
    let facts = session.facts()?.clone();
    let mut rows = vec![];
    for question in direct_rights(facts.version) {
        rows.extend(session.rows(question, &[&oid]).await?);
    }
    for row in &rows {
        let (grantor, statement): (Option<String>, String) = (column(row, 0)?, column(row, 1)?);
        session.run(statements::BEGIN, Stage::Harmless).await?;
        if let Some(grantor) = grantor.filter(|_| facts.superuser) {
            session.run(&statements::act_as(&Ident::found(&grantor)), Stage::Harmless).await?;
        }
        session.run(&statement, Stage::Harmless).await?;
        session.run(&statements::script(&[statements::IN_TIME, statements::COMMIT]), Stage::Lasting).await?;
    }
    Ok(rows.len())
}
