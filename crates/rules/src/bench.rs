//! Records made by hand, for the tables of tests.

use model::{
    Access, AccessId, AccessState, Account, AccountName, ConnectorId, EndReason, Entitlement, EntitlementSet,
    Generation, GranteeId, GranteeKey, ImmutableId, IntegrationId, Ownership, Phase, ResourceId, Revision,
    Span, Timestamp, Verifier,
};

use crate::account::{AccountRecord, Credential};

/// The moment at which all tables are read.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) const fn in_mins(mins: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + mins * 60_000)
}

pub(crate) fn rights(names: &[&str]) -> EntitlementSet {
    names.iter().map(|name| Entitlement::new(ResourceId::new("table", [*name]), "READ_ONLY")).collect()
}

/// An access to the table of its name, from ten minutes ago until half an hour from now.
pub(crate) fn access(name: &str, state: AccessState) -> Access {
    Access {
        id: AccessId::parse(name).unwrap(),
        revision: Revision(1),
        entitlements: rights(&[name]),
        from: in_mins(-10),
        until: in_mins(30),
        ordered: None,
        begun: None,
        approval: None,
        state,
    }
}

pub(crate) const fn accepted() -> AccessState {
    AccessState::Accepted { since: in_mins(-10) }
}

pub(crate) const fn granting() -> AccessState {
    AccessState::Granting { since: NOW }
}

pub(crate) const fn active() -> AccessState {
    AccessState::Active { since: in_mins(-5) }
}

pub(crate) const fn interrupted() -> AccessState {
    AccessState::Interrupted { since: in_mins(-1) }
}

pub(crate) const fn ending() -> AccessState {
    AccessState::Ending { reason: EndReason::Revoked, contained: false, attempts: 0, since: in_mins(-1) }
}

/// An account as it should be in this phase: it holds what was given and not yet taken away, it is marked to
/// say so, and the credential to open it is ready.
pub(crate) fn record(
    ownership: Ownership,
    phase: Phase,
    accesses: impl IntoIterator<Item = Access>,
) -> AccountRecord {
    let account = Account {
        id: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap(),
        integration: IntegrationId::parse("pg").unwrap(),
        grantee: GranteeId::parse("ann").unwrap(),
        name: AccountName("tg_ann".into()),
        ownership,
        immutable: (phase != Phase::Absent).then(|| ImmutableId("1".into())),
    };
    let mut record = AccountRecord::new(account, GranteeKey("key".into()), in_mins(-10));
    record.phase = phase;
    for access in accesses {
        let given = matches!(
            access.state,
            AccessState::Active { .. } | AccessState::Interrupted { .. } | AccessState::Ending { .. }
        );
        if given && matches!(phase, Phase::Open | Phase::Closing) {
            record.held.extend(&access.entitlements);
        }
        record.accesses.insert(access.id.clone(), access);
    }
    if phase == Phase::Open {
        let connector = ConnectorId::parse("bench").unwrap();
        record.marked(&record.mark_draft(&connector, NOW));
    }
    match ownership {
        Ownership::Owned if matches!(phase, Phase::Opening | Phase::Open) => {
            record.generation = Generation(1);
            record.credential = Some(Credential {
                generation: Generation(1),
                sealed: None,
                verifier: Some(Verifier("v".into())),
                set: phase == Phase::Open,
                lines: vec![],
            });
        }
        Ownership::Owned => {}
        Ownership::Borrowed if matches!(phase, Phase::Opening | Phase::Open | Phase::Closing) => {
            record.own = Some(EntitlementSet::nothing());
            record.added = record.held.clone();
        }
        Ownership::Borrowed => {}
    }
    record
}

/// Numbers that look random and are the same in each run: SplitMix64.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// Returns a number below `count`.
    pub(crate) const fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % count
    }

    pub(crate) fn span(&mut self, mins: i64) -> Span {
        Span::from_millis(i64::try_from(self.below(mins.unsigned_abs() * 60_000)).unwrap())
    }
}
