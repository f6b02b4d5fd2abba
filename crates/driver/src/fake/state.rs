//! What a made-up system holds, and its statements: each is done whole or refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_lc_rs::digest;
use model::{Code, Entitlement, Failure, Rung, Secret, Timestamp, Verifier};

use crate::credential::ScramSha256;

/// Longest name of anything, in bytes.
pub(super) const LONGEST_NAME: usize = 63;
/// How many sessions a resisting grantee wants.
const FIGHTING_SESSIONS: usize = 3;

/// What begins a verifier that is none: the system takes it, as some take hashes and clear text alike.
pub(super) const NO_VERIFIER: &str = "plain:";

/// A credential as the system stores it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Verifier(Verifier),
    Clear(String),
}

impl Stored {
    pub(super) fn accepts(&self, clear: &Secret) -> bool {
        match self {
            Self::Verifier(verifier) => match verifier.0.strip_prefix(NO_VERIFIER) {
                Some(text) => text == clear.expose(),
                None => ScramSha256::from_postgres_form(verifier).is_some_and(|scram| scram.accepts(clear)),
            },
            Self::Clear(text) => text == clear.expose(),
        }
    }

    /// Tells two credentials apart without telling either.
    pub(super) fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.text().as_bytes());
        digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the text as a statement would carry it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Verifier(verifier) => &verifier.0,
            Self::Clear(text) => text,
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(…)")
    }
}

/// Which account: never used twice, unless a backup is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub(super) u64);

#[derive(Debug, Clone)]
pub(super) struct AccountRow {
    pub(super) name: String,
    pub(super) can_log_in: bool,
    pub(super) credential: Option<Stored>,
    pub(super) expires: Option<Timestamp>,
    pub(super) mark: Option<String>,
    /// Names of permission roles that it is a member of.
    pub(super) roles: BTreeSet<String>,
    /// Rights in words that no driver knows.
    pub(super) by_hand: BTreeSet<String>,
}

impl AccountRow {
    pub(super) fn shut(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            can_log_in: false,
            credential: None,
            expires: None,
            mark: None,
            roles: BTreeSet::new(),
            by_hand: BTreeSet::new(),
        }
    }
}

/// A shared permission role.
#[derive(Debug, Clone)]
pub(super) struct RoleRow {
    /// Connector and integration that made it.
    pub(super) maker: String,
    pub(super) gives: Entitlement,
    /// What an administrator added to it.
    pub(super) more: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct SessionRow {
    pub(super) account: Number,
    /// What the account held when the session began.
    pub(super) rights: BTreeSet<Entitlement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Account(Number),
    /// Nobody can log in as the heir, and it holds nothing.
    Heir,
    Admin,
}

/// A grantee who fights: what they log in with.
#[derive(Debug, Clone)]
pub(super) struct Fighter {
    pub(super) credential: Option<Stored>,
}

/// Everything that a system holds.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) identity: String,
    pub(super) now: Timestamp,
    pub(super) next: u64,
    pub(super) rights_survive: bool,
    pub(super) accounts: BTreeMap<Number, AccountRow>,
    pub(super) roles: BTreeMap<String, RoleRow>,
    pub(super) things: BTreeSet<Vec<String>>,
    pub(super) sessions: BTreeMap<u64, SessionRow>,
    pub(super) prepared: BTreeMap<u64, Number>,
    pub(super) objects: BTreeMap<String, Owner>,
    pub(super) has_heir: bool,
    pub(super) fighters: BTreeMap<Number, Fighter>,
    /// How many more times a rung is blocked, for a fighter or for everybody.
    pub(super) blocks: BTreeMap<Rung, u32>,
}

impl State {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn find(&self, name: &str) -> Option<Number> {
        self.accounts.iter().find(|(_, row)| row.name == name).map(|(number, _)| *number)
    }

    pub(super) fn row(&mut self, number: Number) -> Result<&mut AccountRow, Failure> {
        self.accounts
            .get_mut(&number)
            .ok_or_else(|| Failure::refused(Code::ACCOUNT_MISSING, "there is no such account"))
    }

    pub(super) fn make_account(&mut self, row: AccountRow) -> Result<Number, Failure> {
        if self.find(&row.name).is_some() {
            return Err(Failure::refused(Code::ACCOUNT_FOREIGN, "an account of that name exists"));
        }
        let number = Number(self.number());
        self.accounts.insert(number, row);
        Ok(number)
    }

    /// Removes an account that owns nothing, with its sessions and prepared transactions.
    pub(super) fn remove_account(&mut self, number: Number) {
        self.accounts.remove(&number);
        self.end_sessions(number);
        self.drop_prepared(number);
        self.fighters.remove(&number);
    }

    pub(super) fn end_sessions(&mut self, number: Number) {
        self.sessions.retain(|_, session| session.account != number);
    }

    pub(super) fn drop_prepared(&mut self, number: Number) {
        self.prepared.retain(|_, owner| *owner != number);
    }

    pub(super) fn owned_by(&self, number: Number) -> impl Iterator<Item = &String> {
        self.objects.iter().filter(move |(_, owner)| **owner == Owner::Account(number)).map(|(name, _)| name)
    }

    /// Returns what an account holds through roles.
    pub(super) fn rights(&self, number: Number) -> BTreeSet<Entitlement> {
        let Some(row) = self.accounts.get(&number) else { return BTreeSet::new() };
        row.roles.iter().filter_map(|role| self.roles.get(role)).map(|role| role.gives.clone()).collect()
    }

    pub(super) fn begin_session(&mut self, account: Number) -> u64 {
        let session = self.number();
        let rights = self.rights(account);
        self.sessions.insert(session, SessionRow { account, rights });
        session
    }

    pub(super) fn may_log_in(&self, number: Number) -> bool {
        self.accounts
            .get(&number)
            .is_some_and(|row| row.can_log_in && row.expires.is_none_or(|at| self.now < at))
    }

    /// Returns an error while the rung is blocked.
    pub(super) fn pass(&mut self, rung: Rung) -> Result<(), Failure> {
        match self.blocks.get_mut(&rung) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Failure::not_done(Code::BUSY, "somebody holds a lock: try again"))
            }
            _ => Ok(()),
        }
    }

    /// Lets those who fight do what they can.
    pub(super) fn react(&mut self) {
        let fighters: Vec<_> =
            self.fighters.iter().map(|(number, fighter)| (*number, fighter.credential.clone())).collect();
        for (number, credential) in fighters {
            let knows = self.accounts.get(&number).is_some_and(|row| row.credential == credential);
            while knows
                && self.may_log_in(number)
                && self.sessions.values().filter(|session| session.account == number).count()
                    < FIGHTING_SESSIONS
            {
                self.begin_session(number);
            }
            let has_session = self.sessions.values().any(|session| session.account == number);
            if has_session && !self.prepared.values().any(|owner| *owner == number) {
                let transaction = self.number();
                self.prepared.insert(transaction, number);
            }
        }
    }
}
