//! What the admin's reach lacks: each missing right by name, with the statement that gives it; and whose service this is.

use std::collections::{BTreeMap, BTreeSet};

use driver::{Grade, Probe};

use crate::account::column;
use crate::catalogue::{REACH, SIGNS, STRANGERS};
use crate::check::probe;
use crate::connect::Facts;
use crate::faults::Fault;
use crate::flavour::Flavour;
use crate::quote::{Ident, shown};
use crate::rights::Right;
use crate::session::Session;
use crate::version::Version;

/// How many owners are named.
const MOST_OWNERS: usize = 12;

/// What the role that logged in has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) admin: Ident,
    create_role: bool,
    inherits: bool,
    signal: bool,
    /// `None` when there is no common role yet: it will be our own.
    common: Option<bool>,
    identity: bool,
    /// A superuser that it is a member of: all of that one's power is its own.
    superuser: Option<Ident>,
}

/// Whose things cannot be given, and in which databases.
#[derive(Debug, Default)]
pub(crate) struct Strangers(BTreeMap<String, Stranger>);

#[derive(Debug)]
struct Stranger {
    superuser: bool,
    databases: BTreeSet<String>,
}

impl Reach {
    pub(crate) async fn read(session: &Session) -> Result<Option<Self>, Fault> {
        let rows = session.rows(REACH, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            create_role: column(row, 0)?,
            inherits: column(row, 1)?,
            signal: column(row, 2)?,
            common: column(row, 3)?,
            identity: column(row, 4)?,
            admin: Ident::found(&column::<String>(row, 5)?),
            superuser: column::<Option<String>>(row, 6)?.map(|name| Ident::found(&name)),
        }))
    }

    /// Returns the rights that are missing, whatever access is to be given.
    fn missing(&self, superuser: bool, version: Version) -> Vec<Right> {
        let mut missing = vec![];
        let options = version.memberships_have_options();
        let mut unless = |had: bool, right: Right| missing.extend((!had).then_some(right));
        unless(superuser || self.create_role, Right::CreateRole);
        // From 16 on each membership says for itself whether it inherits.
        unless(superuser || options || self.inherits, Right::Inherit);
        unless(superuser || self.signal, Right::Signal);
        // Before 16 CREATEROLE is enough to give membership.
        unless(superuser || !options || self.common != Some(false), Right::Common);
        unless(superuser || self.identity, Right::Identity);
        missing
    }

    /// Tells each missing right.
    pub(crate) fn probes(&self, facts: &Facts) -> Vec<Probe> {
        let told = |right: Right| {
            let grade = if right == Right::Identity { Grade::Warning } else { Grade::Bad };
            probe("right", grade, self.say(&right, facts.version))
        };
        let mut probes: Vec<_> = self.missing(facts.superuser, facts.version).into_iter().map(told).collect();
        if let Some(superuser) = &self.superuser {
            let detail = format!(
                "too much: the admin is a member of the superuser {superuser} and has all of its power, which mode \
                 least is there to avoid; give what it owns to a role that is no superuser, and `REVOKE {superuser} \
                 FROM {};`",
                self.admin
            );
            probes.push(probe("right", Grade::Warning, detail));
        }
        probes
    }

    /// Says what is missing, what for, and how it is given.
    pub(crate) fn say(&self, right: &Right, version: Version) -> String {
        format!("missing: {} ({}); `{};`", right.name(), right.why(), right.give(&self.admin, version))
    }
}

impl Strangers {
    /// Adds those of the database that a session is in.
    pub(crate) async fn look(&mut self, session: &Session) -> Result<(), Fault> {
        for row in session.rows(STRANGERS, &[]).await? {
            let (owner, superuser) = (column::<String>(&row, 0)?, column::<bool>(&row, 1)?);
            let known = self.0.entry(owner).or_insert(Stranger { superuser, databases: BTreeSet::new() });
            known.databases.insert(session.database().to_owned());
        }
        Ok(())
    }

    /// Tells whose things cannot be given, and the statement that changes it.
    pub(crate) fn probes(&self, reach: &Reach, version: Version) -> Vec<Probe> {
        let mut probes = vec![];
        for (owner, stranger) in self.0.iter().take(MOST_OWNERS) {
            let databases: Vec<String> = stranger.databases.iter().map(|name| shown(name)).collect();
            let place = databases.join(", ");
            let detail = if stranger.superuser {
                // Membership in a superuser would be all of its power.
                let mut statements = vec![];
                for database in &stranger.databases {
                    let connect = Right::ConnectOn(Ident::found(database)).give(&reach.admin, version);
                    statements.push(format!("`{connect};`"));
                }
                format!(
                    "missing: GRANT OPTION on what the superuser {} owns in {place}, where access to that is wanted: {}, \
                     and the like on its schemas and tables",
                    shown(owner),
                    statements.join(" ")
                )
            } else {
                let right = Right::Owner(Ident::found(owner));
                format!("{}; nothing of it can be given in {place}", reach.say(&right, version))
            };
            probes.push(probe("owner", Grade::Warning, detail));
        }
        if self.0.len() > MOST_OWNERS {
            let detail = format!("and of {} owners more nothing can be given", self.0.len() - MOST_OWNERS);
            probes.push(probe("owner", Grade::Warning, detail));
        }
        probes
    }
}

/// Tells which managed service this is.
pub(crate) async fn service(session: &Session) -> Result<Option<Probe>, Fault> {
    let mut signs = BTreeSet::new();
    for row in session.rows(SIGNS, &[]).await? {
        signs.insert(column::<String>(&row, 0)?);
    }
    Ok(Flavour::of(&signs).map(|flavour| {
        let (product, administrator) = (flavour.product(), flavour.administrator());
        let detail = format!(
            "{product}: recognised, not proven. Nobody is a superuser there: make the admin with the set-up script of \
             mode least, run by a member of {administrator}"
        );
        probe("service", Grade::Warning, detail)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_depends_on_the_version() {
        let all = Reach {
            admin: Ident::found("ann"),
            create_role: true,
            inherits: true,
            signal: true,
            common: None,
            identity: true,
            superuser: None,
        };
        let nothing = Reach {
            create_role: false,
            inherits: false,
            signal: false,
            common: Some(false),
            identity: false,
            ..all.clone()
        };
        use Right::{Common, CreateRole, Identity, Inherit, Signal};
        let table = [
            ("all, no common role yet", all.clone(), false, vec![], vec![]),
            ("the common role is ours", Reach { common: Some(true), ..all.clone() }, false, vec![], vec![]),
            ("it is another's", Reach { common: Some(false), ..all.clone() }, false, vec![], vec![Common]),
            ("memberships do not count", Reach { inherits: false, ..all }, false, vec![Inherit], vec![]),
            (
                "nothing",
                nothing.clone(),
                false,
                vec![CreateRole, Inherit, Signal, Identity],
                vec![CreateRole, Signal, Common, Identity],
            ),
            ("a superuser needs nothing of it", nothing, true, vec![], vec![]),
        ];
        for (name, reach, superuser, on_15, on_16) in table {
            assert_eq!(reach.missing(superuser, Version(150_004)), on_15, "{name}, 15");
            assert_eq!(reach.missing(superuser, Version(160_000)), on_16, "{name}, 16");
        }
    }
}
