//! A made-up target: accounts with logins, rights, sessions and marks, and a grantee who resists.

use std::collections::{BTreeMap, BTreeSet};

use model::mark::Mark;
use model::mark::MarkDraft;
use model::observed::Present;
use model::{
    AccountId, AccountName, AccountRef, Code, EntitlementSet, Failure, ImmutableId, Login, MarkState,
    Observed, Rung, Sighting, TargetIdentity, Timestamp,
};

/// One verb as it reaches the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Create {
        mark: MarkDraft,
        expires: Option<Timestamp>,
    },
    Grant(EntitlementSet),
    /// `None`: the shell has no clear text to set.
    SetCredential(Option<u64>),
    Enable,
    /// All four in one transaction.
    OpenAll {
        mark: MarkDraft,
        expires: Option<Timestamp>,
        wanted: EntitlementSet,
        serial: Option<u64>,
    },
    Renew {
        mark: MarkDraft,
        expires: Option<Timestamp>,
    },
    Rung(Rung),
    Delete,
    Observe,
}

/// One account on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: AccountName,
    pub(crate) immutable: ImmutableId,
    /// Whose it is in truth; `None` for one that is not ours.
    pub(crate) owner: Option<AccountId>,
    pub(crate) open: bool,
    /// Which credential opens it.
    pub(crate) credential: Option<u64>,
    pub(crate) entitlements: EntitlementSet,
    pub(crate) excess: Vec<String>,
    pub(crate) sessions: u32,
    /// Rights that live on in its sessions, whatever the account has now.
    pub(crate) in_sessions: EntitlementSet,
    /// Prepared transactions: they outlive sessions and hold locks.
    pub(crate) prepared: u32,
    pub(crate) mark: Option<Mark>,
    pub(crate) expires: Option<Timestamp>,
    /// Rungs that the grantee still blocks.
    pub(crate) blocks: u32,
    /// The grantee comes back as soon as a session is ended, while the login is open.
    pub(crate) comes_back: bool,
}

impl Entry {
    /// Whether somebody can use it now.
    pub(crate) const fn usable(&self) -> bool {
        self.open || self.sessions > 0 || self.prepared > 0
    }
}

/// A made-up target.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) identity: TargetIdentity,
    pub(crate) up: bool,
    pub(crate) entries: BTreeMap<ImmutableId, Entry>,
    pub(crate) missing: BTreeSet<String>,
    next: u64,
}

impl Target {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            identity: TargetIdentity(format!("target-{n}")),
            up: true,
            entries: BTreeMap::new(),
            missing: BTreeSet::new(),
            next: 100,
        }
    }

    fn fresh(&mut self) -> ImmutableId {
        self.next += 1;
        ImmutableId(self.next.to_string())
    }

    /// Puts an account there that is not ours.
    pub(crate) fn plant(&mut self, name: &AccountName) -> ImmutableId {
        let immutable = self.fresh();
        let entry = Entry {
            name: name.clone(),
            immutable: immutable.clone(),
            owner: None,
            open: true,
            credential: None,
            entitlements: EntitlementSet::nothing(),
            excess: vec!["a right of its own".into()],
            sessions: 1,
            in_sessions: EntitlementSet::nothing(),
            prepared: 0,
            mark: None,
            expires: None,
            blocks: 0,
            comes_back: false,
        };
        self.entries.insert(immutable.clone(), entry);
        immutable
    }

    fn mark_state(&self, entry: &Entry) -> MarkState {
        match &entry.mark {
            None => MarkState::Missing,
            Some(mark) if mark.immutable == entry.immutable && mark.target == self.identity => {
                MarkState::Valid(Box::new(mark.clone()))
            }
            Some(_) => MarkState::Copied,
        }
    }

    /// Finds an account as the port demands: by immutable id, else by name with a valid mark of that id.
    /// `Err` when another account stands under the name.
    fn find(&self, account: &AccountRef, by_name_alone: bool) -> Result<Option<ImmutableId>, Failure> {
        if let (Some(known), false) = (&account.immutable, by_name_alone)
            && self.entries.contains_key(known)
        {
            return Ok(Some(known.clone()));
        }
        let Some(entry) = self.entries.values().find(|entry| entry.name == account.name) else {
            return Ok(None);
        };
        let ours =
            matches!(self.mark_state(entry), MarkState::Valid(mark) if mark.draft.account == account.id);
        if ours || by_name_alone {
            Ok(Some(entry.immutable.clone()))
        } else {
            Err(Failure::refused(Code::ACCOUNT_FOREIGN, "an account of that name is not ours"))
        }
    }

    fn make(
        &mut self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
        by_name: bool,
    ) -> Result<ImmutableId, Failure> {
        let id = match self.find(account, by_name)? {
            Some(id) => id,
            None => {
                let id = self.fresh();
                let entry = Entry {
                    name: account.name.clone(),
                    immutable: id.clone(),
                    owner: Some(account.id),
                    open: false,
                    credential: None,
                    entitlements: EntitlementSet::nothing(),
                    excess: vec![],
                    sessions: 0,
                    in_sessions: EntitlementSet::nothing(),
                    prepared: 0,
                    mark: None,
                    expires: None,
                    blocks: 0,
                    comes_back: false,
                };
                self.entries.insert(id.clone(), entry);
                id
            }
        };
        let identity = self.identity.clone();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.mark = Some(mark.clone().complete(identity, id.clone()));
            entry.expires = expires;
        }
        Ok(id)
    }

    fn grantable(&self, wanted: &EntitlementSet) -> Result<(), Failure> {
        let gone = wanted.iter().find(|one| one.resource.path.iter().any(|part| self.missing.contains(part)));
        match gone {
            Some(gone) => Err(Failure::refused(Code::RESOURCE_MISSING, format!("{gone} is not there"))),
            None => Ok(()),
        }
    }

    /// Does a verb. `Observe` answers what is there; the others answer nothing.
    pub(crate) fn act(
        &mut self,
        account: &AccountRef,
        verb: &Verb,
        now: Timestamp,
        by_name_alone: bool,
        only_adds: bool,
    ) -> Result<Option<Observed>, Failure> {
        match verb {
            Verb::Observe => return Ok(Some(self.observe(account, now))),
            Verb::Create { mark, expires } => {
                self.make(account, mark, *expires, by_name_alone)?;
                return Ok(None);
            }
            Verb::OpenAll { serial: None, .. } | Verb::SetCredential(None) => {
                return Err(Failure::not_done(Code::DRIVER_FAULT, "the clear text is not at hand"));
            }
            Verb::OpenAll { mark, expires, wanted, serial } => {
                self.grantable(wanted)?;
                let id = self.make(account, mark, *expires, by_name_alone)?;
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.entitlements = wanted.clone();
                    entry.credential = *serial;
                    entry.open = true;
                }
                return Ok(None);
            }
            Verb::Grant(wanted) => self.grantable(wanted)?,
            Verb::SetCredential(_) | Verb::Enable | Verb::Renew { .. } | Verb::Rung(_) | Verb::Delete => {}
        }
        let closing = matches!(verb, Verb::Rung(_) | Verb::Delete | Verb::Renew { .. });
        let found = match self.find(account, by_name_alone) {
            Ok(found) => found,
            // What is not ours is, to a close, not there.
            Err(_) if closing => None,
            Err(failure) => return Err(failure),
        };
        let Some(id) = found else {
            return if closing {
                Ok(None)
            } else {
                Err(Failure::not_done(Code::ACCOUNT_MISSING, "no such account"))
            };
        };
        if *verb == Verb::Delete {
            self.entries.remove(&id);
            return Ok(None);
        }
        let identity = self.identity.clone();
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        if matches!(verb, Verb::Rung(Rung::ShutLogin | Rung::Strip))
            && (entry.blocks > 0 || entry.prepared > 0)
        {
            entry.blocks = entry.blocks.saturating_sub(1);
            return Err(Failure::not_done(Code::BUSY, "the account is locked by its own transaction"));
        }
        match verb {
            Verb::Grant(wanted) => {
                if only_adds {
                    entry.entitlements.extend(wanted);
                } else {
                    entry.entitlements = wanted.clone();
                }
            }
            Verb::SetCredential(serial) => entry.credential = *serial,
            Verb::Enable => entry.open = true,
            Verb::Renew { mark, expires } => {
                entry.mark = Some(mark.clone().complete(identity, id));
                entry.expires = *expires;
            }
            Verb::Rung(Rung::ShutLogin) => entry.open = false,
            Verb::Rung(Rung::EndSessions) => {
                entry.prepared = 0;
                entry.sessions = u32::from(entry.comes_back && entry.open);
                let again = entry.sessions > 0;
                entry.in_sessions =
                    if again { entry.entitlements.clone() } else { EntitlementSet::nothing() };
            }
            Verb::Rung(Rung::Strip) => {
                entry.entitlements = EntitlementSet::nothing();
                entry.excess.clear();
            }
            Verb::Rung(Rung::Scramble) => entry.credential = None,
            Verb::Create { .. } | Verb::OpenAll { .. } | Verb::Delete | Verb::Observe => {}
        }
        Ok(None)
    }

    fn observe(&self, account: &AccountRef, now: Timestamp) -> Observed {
        let found = match self.find(account, false) {
            Ok(Some(id)) => self.entries.get(&id),
            _ => None,
        };
        Observed { target_time: Some(now), account: found.map(|entry| Box::new(self.present(entry))) }
    }

    fn present(&self, entry: &Entry) -> Present {
        Present {
            name: entry.name.clone(),
            immutable: entry.immutable.clone(),
            login: if entry.open { Login::Open } else { Login::Shut },
            entitlements: entry.entitlements.clone(),
            excess: entry.excess.clone(),
            sessions: entry.sessions + entry.prepared,
            expires: entry.expires,
            mark: self.mark_state(entry),
            residual: vec![],
        }
    }

    /// The grantee opens sessions.
    pub(crate) fn logs_in(entry: &mut Entry, sessions: u32) {
        entry.sessions += sessions;
        entry.in_sessions.extend(&entry.entitlements);
    }

    /// Every account with a mark.
    pub(crate) fn survey(&self) -> Vec<Sighting> {
        self.entries
            .values()
            .filter(|entry| entry.mark.is_some())
            .map(|entry| Sighting { found: self.present(entry) })
            .collect()
    }

    /// The account of ours with this id, whatever it is called now.
    pub(crate) fn owned(&self, account: AccountId) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.owner == Some(account))
    }
}
