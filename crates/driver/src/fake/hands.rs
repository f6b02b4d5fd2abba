//! Hands that are not the agent's: an administrator's, a grantee's, and time's.

use std::collections::BTreeSet;

use model::{AccountName, Entitlement, ImmutableId, Permission, ResourceId, Rung, Secret, Span, Timestamp};

use super::System;
use super::manifest::{READ_WRITE, THING};
use super::sabotage::Sabotage;
use super::state::{AccountRow, Fighter, LONGEST_NAME, Number, Owner, State, Stored};
use crate::contract::Fate;

/// A kept state of a system.
#[derive(Debug)]
pub struct Backup(State);

/// What became of a try to use an entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    Works,
    Denied,
    SessionGone,
}

/// A session of a grantee; dropping it does not end it, ending it is the system's matter.
#[derive(Debug)]
pub struct FakeSession {
    system: System,
    id: u64,
    account: Number,
}

impl System {
    /// Returns the system's own time.
    pub fn now(&self) -> Timestamp {
        self.core().state.now
    }

    /// Lets time pass on the system.
    pub fn advance(&self, span: Span) {
        let state = &mut self.core().state;
        state.now = state.now.plus(span);
    }

    /// Puts a thing on a shelf; false when its name cannot be.
    pub fn add_thing(&self, shelf: &str, thing: &str) -> bool {
        let fits = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\0');
        if !fits(shelf) || !fits(thing) {
            return false;
        }
        self.core().state.things.insert(vec![shelf.to_owned(), thing.to_owned()]);
        true
    }

    /// Takes a thing away; memberships in roles for it stay.
    pub fn remove_thing(&self, resource: &ResourceId) {
        self.core().state.things.remove(&resource.path);
    }

    /// Names the entitlement of a permission on a thing.
    pub fn entitlement(shelf: &str, thing: &str, permission: &str) -> Entitlement {
        Entitlement::new(ResourceId::new(THING, [shelf, thing]), permission)
    }

    /// Begins a session as a grantee; `None` when the login is refused.
    pub fn login(&self, name: &AccountName, clear: &Secret) -> Option<FakeSession> {
        let (account, stored) = {
            let core = self.core();
            let account = core.state.find(&name.0).filter(|account| core.state.may_log_in(*account))?;
            (account, core.state.accounts.get(&account)?.credential.clone()?)
        };
        if !stored.accepts(clear) {
            return None;
        }
        let mut core = self.core();
        let same =
            core.state.accounts.get(&account).is_some_and(|row| row.credential.as_ref() == Some(&stored));
        if !same || !core.state.may_log_in(account) {
            return None;
        }
        let id = core.state.begin_session(account);
        Some(FakeSession { system: self.clone(), id, account })
    }

    /// Makes an account by hand that can log in with the credential, and returns its immutable id.
    pub fn plant_account(&self, name: &AccountName, clear: &Secret) -> Option<ImmutableId> {
        let mut row = AccountRow::shut(&name.0);
        row.can_log_in = true;
        row.credential = Some(Stored::Clear(clear.expose().to_owned()));
        let number = self.core().state.make_account(row).ok()?;
        Some(ImmutableId(number.0.to_string()))
    }

    /// Removes an account by hand, with what it owns; false when there is none.
    pub fn drop_account(&self, name: &AccountName) -> bool {
        let state = &mut self.core().state;
        let Some(number) = state.find(&name.0) else { return false };
        state.objects.retain(|_, owner| *owner != Owner::Account(number));
        state.remove_account(number);
        true
    }

    /// Reads the text of an account's mark.
    pub fn mark(&self, name: &AccountName) -> Option<String> {
        let core = self.core();
        core.state.accounts.get(&core.state.find(&name.0)?)?.mark.clone()
    }

    /// Changes an account by hand; false when there is none.
    fn by_hand(&self, name: &AccountName, change: impl FnOnce(&mut AccountRow)) -> bool {
        let state = &mut self.core().state;
        match state.find(&name.0).and_then(|number| state.accounts.get_mut(&number)) {
            Some(row) => {
                change(row);
                true
            }
            None => false,
        }
    }

    /// Writes or removes the text of an account's mark.
    pub fn put_mark(&self, name: &AccountName, mark: Option<&str>) -> bool {
        self.by_hand(name, |row| row.mark = mark.map(str::to_owned))
    }

    /// Renames an account.
    pub fn rename_account(&self, from: &AccountName, to: &AccountName) -> bool {
        self.by_hand(from, |row| row.name = to.0.clone())
    }

    /// Opens or shuts an account's login by hand.
    pub fn set_login(&self, name: &AccountName, open: bool) -> bool {
        self.by_hand(name, |row| {
            row.can_log_in = open;
            row.expires = row.expires.filter(|_| !open);
        })
    }

    /// Takes from an account by hand what it holds through roles.
    pub fn strip_by_hand(&self, name: &AccountName) -> bool {
        self.by_hand(name, |row| row.roles.clear())
    }

    /// Gives an account a right that no driver knows.
    pub fn add_right(&self, name: &AccountName, right: &str) -> bool {
        self.by_hand(name, |row| {
            row.by_hand.insert(right.to_owned());
        })
    }

    /// Adds a right to the shared roles of an account, or takes back what was added; false when there is no
    /// such account or role.
    pub fn widen_roles(&self, name: &AccountName, right: Option<&str>) -> bool {
        let state = &mut self.core().state;
        let Some(number) = state.find(&name.0) else { return false };
        let roles = state.accounts.get(&number).map(|row| row.roles.clone()).unwrap_or_default();
        let Some(right) = right else {
            state.roles.values_mut().for_each(|role| role.more.clear());
            return true;
        };
        let theirs = state.roles.iter_mut().filter(|(name, _)| roles.contains(*name));
        theirs.map(|(_, role)| role.more.insert(right.to_owned())).count() > 0
    }

    /// Lets an account own an object; false when there is no such account.
    pub fn give_object(&self, name: &AccountName, object: &str) -> bool {
        let state = &mut self.core().state;
        let Some(number) = state.find(&name.0) else { return false };
        state.objects.insert(object.to_owned(), Owner::Account(number));
        true
    }

    /// Removes an object.
    pub fn remove_object(&self, object: &str) {
        self.core().state.objects.remove(object);
    }

    /// Tells who owns an object now.
    pub fn fate(&self, object: &str) -> Fate {
        let core = self.core();
        match core.state.objects.get(object) {
            None => Fate::Gone,
            Some(Owner::Heir) => Fate::OwnedByPowerless,
            Some(Owner::Admin) => Fate::OwnedBy("admin".into()),
            Some(Owner::Account(number)) => {
                Fate::OwnedBy(core.state.accounts.get(number).map(|row| row.name.clone()).unwrap_or_default())
            }
        }
    }

    /// Lets the grantee of an account fight from now on: sessions that are ended begin again while a login is
    /// possible, prepared transactions come back while there is a session, and each of these rungs is
    /// blocked so many times. False when there is no such account.
    pub fn fight(&self, name: &AccountName, blocks: impl IntoIterator<Item = (Rung, u32)>) -> bool {
        let state = &mut self.core().state;
        let Some(number) = state.find(&name.0) else { return false };
        let credential = state.accounts.get(&number).and_then(|row| row.credential.clone());
        state.fighters.insert(number, Fighter { credential });
        state.blocks.extend(blocks);
        state.react();
        true
    }

    /// Ends all fighting; what it left stays.
    pub fn make_peace(&self) {
        let state = &mut self.core().state;
        state.fighters.clear();
        state.blocks.clear();
    }

    /// Keeps the system's state.
    pub fn backup(&self) -> Backup {
        Backup(self.core().state.clone())
    }

    /// Brings the system back to a kept state: sessions are gone, and immutable ids that were given since
    /// will be given again.
    pub fn restore(&self, backup: &Backup) {
        let state = &mut self.core().state;
        let now = state.now;
        *state = State { now, ..backup.0.clone() };
        state.sessions.clear();
    }

    /// Returns every statement that the system was given.
    pub fn log(&self) -> String {
        self.core().log.join("\n")
    }

    /// Returns everything that a driver could change, one fact a line.
    pub fn inventory(&self) -> BTreeSet<String> {
        let core = self.core();
        let state = &core.state;
        let mut facts = BTreeSet::new();
        for row in state.accounts.values() {
            let name = row.name.escape_debug();
            let credential = row.credential.as_ref().map(Stored::fingerprint);
            facts.insert(format!(
                "account {name} login={} expires={:?} mark={:?} credential={credential:?}",
                row.can_log_in, row.expires, row.mark
            ));
            facts.extend(row.roles.iter().map(|role| format!("account {name} is in {role}")));
            facts.extend(row.by_hand.iter().map(|right| format!("account {name} has {right}")));
        }
        for (name, role) in &state.roles {
            facts.insert(format!("role {name} gives {} and {:?}", role.gives, role.more));
        }
        facts.extend(state.things.iter().map(|path| format!("thing {path:?}")));
        facts.extend(state.objects.iter().map(|(object, owner)| format!("object {object} of {owner:?}")));
        if state.has_heir {
            facts.insert("the heir".into());
        }
        facts
    }
}

impl FakeSession {
    /// Returns true while the system answers this session.
    pub fn is_alive(&self) -> bool {
        self.system.core().state.sessions.contains_key(&self.id)
    }

    /// Does what the entitlement is for.
    pub fn try_use(&self, asked: &Entitlement) -> Used {
        let core = self.system.core();
        let Some(session) = core.state.sessions.get(&self.id) else { return Used::SessionGone };
        let mut rights = core.state.rights(self.account);
        if core.state.rights_survive {
            rights.extend(session.rights.iter().cloned());
        }
        let there = core.state.things.contains(&asked.resource.path);
        if there && rights.iter().any(|held| covers(held, asked, &core.sabotage)) {
            Used::Works
        } else {
            Used::Denied
        }
    }

    /// Leaves a transaction behind; false when the session is gone.
    pub fn prepare_transaction(&self) -> bool {
        if !self.is_alive() {
            return false;
        }
        let state = &mut self.system.core().state;
        let number = state.number();
        state.prepared.insert(number, self.account);
        true
    }
}

impl Drop for FakeSession {
    /// A client that goes away ends its session.
    fn drop(&mut self) {
        self.system.core().state.sessions.remove(&self.id);
    }
}

/// Returns true when a held entitlement lets its holder use another one.
fn covers(held: &Entitlement, asked: &Entitlement, sabotage: &BTreeSet<Sabotage>) -> bool {
    let wide_enough = held.permission == asked.permission || held.permission == Permission(READ_WRITE.into());
    wide_enough
        && held.resource.path.len() == asked.resource.path.len()
        && held
            .resource
            .path
            .iter()
            .zip(&asked.resource.path)
            .all(|(held, asked)| same(held, asked, sabotage))
}

/// Compares two names, exactly unless the driver made the role by folding, cutting or matching.
fn same(held: &str, asked: &str, sabotage: &BTreeSet<Sabotage>) -> bool {
    held == asked
        || (sabotage.contains(&Sabotage::FoldsNames) && held.eq_ignore_ascii_case(asked))
        || (sabotage.contains(&Sabotage::CutsNames) && held.chars().take(LONGEST_NAME).eq(asked.chars()))
        || (sabotage.contains(&Sabotage::ReadsPatterns)
            && held.chars().count() == asked.chars().count()
            && held.chars().zip(asked.chars()).all(|(held, asked)| held == '_' || held == asked))
}
