//! A book on a bench: one integration, one journal in memory, time by hand, answers by hand.

use std::collections::BTreeMap;

use journal::memory::Memory;
use model::mark::Mark;
use model::observed::Present;
use model::*;
use rules::book::{IntegrationRecord, Meta, Step};
use rules::{
    AccessOrder, AccountRecord, Act, Action, Answer, Book, ChainHead, Climb, Grantee, Guard, Input,
    NumberedOrder, Office, Order, Reading, Report, Ticket,
};
use uuid::Uuid;

pub(crate) const START: i64 = 1_800_000_000;

struct Desk {
    ownership: Ownership,
    life: u64,
}

pub(crate) fn desk(ownership: Ownership) -> impl Office {
    Desk { ownership, life: 0 }
}

impl Office for Desk {
    fn account(
        &self,
        _: &Integration,
        grantee: &Grantee,
    ) -> Result<(AccountId, AccountName, Ownership), Code> {
        Ok((account(grantee.id.as_str()), AccountName(format!("tg_{}", grantee.id)), self.ownership))
    }

    fn sign(
        &self,
        _: &IntegrationId,
        head: &ChainHead,
        body: &ReceiptBody,
    ) -> Result<(String, ChainHead), Code> {
        let number = head.number + 1;
        let signed = serde_json::to_string(body).map_err(|_| Code::other("unsigned"))?;
        Ok((signed, ChainHead { number, hash: number.to_string(), life: Some(self.life()) }))
    }

    fn life(&self) -> Incarnation {
        Incarnation::from_uuid(Uuid::from_u128(self.life.into()))
    }
}

pub(crate) fn account(grantee: &str) -> AccountId {
    let mut bytes = [7_u8; 16];
    for (n, byte) in grantee.bytes().enumerate() {
        bytes[n % 16] ^= byte;
    }
    AccountId::from_uuid(Uuid::from_bytes(bytes))
}

pub(crate) fn target() -> IntegrationId {
    IntegrationId::parse("pg").unwrap()
}

/// The control plane's incarnation.
pub(crate) fn control_plane() -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u128(9))
}

pub(crate) fn id(text: &str) -> AccessId {
    AccessId::parse(text).unwrap()
}

pub(crate) fn rights(names: &[&str]) -> EntitlementSet {
    names.iter().map(|name| Entitlement::new(ResourceId::new("table", [*name]), "READ_ONLY")).collect()
}

pub(crate) struct Bench {
    pub(crate) book: Book,
    pub(crate) journal: Memory,
    pub(crate) secs: i64,
    pub(crate) wall_off: i64,
    position: u64,
    pub(crate) reports: Vec<Report>,
    ownership: Ownership,
    /// How many memories there were.
    pub(crate) life: u64,
    /// What holds after the next start, too.
    pub(crate) guard: Guard,
}

impl Bench {
    pub(crate) fn new(ownership: Ownership, policy: Policy) -> Self {
        let mut bench = Self::on(1, ownership);
        let actions = bench.put_integration(target(), policy);
        assert!(actions.is_empty());
        bench.agrees();
        bench.input(Input::Surveyed { integration: target(), sightings: vec![], complete: true });
        bench
    }

    /// An empty journal that has not seen a survey of its target, and a control plane that agrees with it.
    pub(crate) fn without_survey(policy: Policy) -> Self {
        let mut bench = Self::on(1, Ownership::Owned);
        let actions = bench.put_integration(target(), policy);
        assert!(actions.is_empty());
        bench.agrees();
        bench
    }

    /// An empty journal, and nobody who says anything.
    pub(crate) fn without_control_plane() -> Self {
        Self::on(2, Ownership::Owned)
    }

    fn on(incarnation: u128, ownership: Ownership) -> Self {
        let journal = Memory::new(Incarnation::from_uuid(Uuid::from_u128(incarnation)));
        let (life, secs) = (1, START);
        let book = restored(&journal, ownership, life, secs);
        Self {
            book,
            journal,
            secs,
            wall_off: 0,
            position: 0,
            reports: vec![],
            ownership,
            life,
            guard: Guard::Off,
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading {
            wall: Timestamp::from_secs(self.secs + self.wall_off),
            monotonic: Span::from_secs(self.secs - START),
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Vec<Action> {
        let reading = self.reading();
        self.book.handle(input, reading);
        self.drain()
    }

    pub(crate) fn pass(&mut self, secs: i64) -> Vec<Action> {
        self.secs += secs;
        let reading = self.reading();
        self.book.handle_timeout(reading);
        self.drain()
    }

    pub(crate) fn drain(&mut self) -> Vec<Action> {
        let mut actions = vec![];
        while let Some(step) = self.book.poll_step() {
            actions.extend(self.write(step));
        }
        rules::invariant::check(&self.book).unwrap();
        self.rows_are_the_book();
        actions
    }

    /// What a restore would read is what is remembered: memory never runs ahead of the disk, nor behind it.
    fn rows_are_the_book(&self) {
        if self.book.standstill().is_some_and(|still| still.code == Code::CLOSE_ONLY) {
            return;
        }
        let (mut accounts, mut integrations) = (BTreeMap::new(), BTreeMap::new());
        for row in self.journal.load_now().unwrap().rows {
            match row.table {
                durable::Table::Account => {
                    let mut record: AccountRecord = serde_json::from_str(&row.body).unwrap();
                    if let Some(live) = self.book.account(record.account.id) {
                        // What a restore found under way, the next restore finds again.
                        assert!(live.unsure.growing >= record.unsure.growing);
                        assert!(live.unsure.shrinking >= record.unsure.shrinking);
                        record.unsure = live.unsure;
                    }
                    accounts.insert(record.account.id, record);
                }
                durable::Table::Integration => {
                    let record: IntegrationRecord = serde_json::from_str(&row.body).unwrap();
                    integrations.insert(record.integration.id.clone(), record);
                }
                durable::Table::Meta => {
                    let mut meta: Meta = serde_json::from_str(&row.body).unwrap();
                    // Time alone is not worth a batch.
                    meta.clock = self.book.meta().clock;
                    assert_eq!(meta, *self.book.meta());
                }
                durable::Table::Tombstone => {
                    let lives = self.book.accounts().any(|record| {
                        record.accesses.contains_key(&AccessId::parse(row.key.as_str()).unwrap())
                    });
                    assert!(!lives, "{} has ended on the disk and lives in memory", row.key);
                }
            }
        }
        assert!(self.book.accounts().eq(accounts.values()), "{accounts:?}");
        assert!(self.book.integrations().eq(integrations.values()), "{integrations:?}");
    }

    fn write(&mut self, step: Step) -> Vec<Action> {
        match self.journal.append_now(step.batch()) {
            Ok(proof) => {
                for write in &step.batch().writes {
                    if let durable::Write::Report { body, .. } = write {
                        self.reports.push(serde_json::from_str(body).unwrap());
                    }
                }
                self.book.keep(step, &proof).unwrap()
            }
            Err(fault) => {
                let now = self.book.now();
                self.book.drop_unwritten(step, &CloseOnly::because(fault.to_string()), now)
            }
        }
    }

    pub(crate) fn restart(&mut self) -> Vec<Action> {
        let mut actions = self.come_back_with(self.journal.snapshot());
        actions.extend(self.agrees());
        actions
    }

    /// The control plane has nothing against this journal.
    pub(crate) fn agrees(&mut self) -> Vec<Action> {
        self.input(Input::JournalIsCurrent { by: control_plane() })
    }

    /// The agent starts on this journal, and nobody has said yet whether it is current.
    pub(crate) fn come_back_with(&mut self, journal: Memory) -> Vec<Action> {
        self.journal = journal;
        self.life += 1;
        self.book = restored(&self.journal, self.ownership, self.life, self.secs);
        let reading = self.reading();
        self.book.guard(self.guard.clone(), reading);
        self.drain()
    }

    pub(crate) fn order(&mut self, order: Order) -> Vec<Action> {
        self.position += 1;
        let incarnation = control_plane();
        self.input(Input::Order(NumberedOrder { incarnation, position: Position(self.position), order }))
    }

    pub(crate) fn put_integration(&mut self, id: IntegrationId, policy: Policy) -> Vec<Action> {
        self.order(Order::PutIntegration(Integration {
            id,
            revision: Revision(1),
            kind: DriverKind("made-up".into()),
            settings: BTreeMap::new(),
            secret: SecretReference("env://TIDEGATE_SECRET_X".into()),
            policy,
            lifecycle: Lifecycle::Live,
        }))
    }

    pub(crate) fn put(&mut self, access: &str, grantee: &str, names: &[&str], mins: i64) -> Vec<Action> {
        self.put_revision(access, grantee, names, mins, 1)
    }

    pub(crate) fn put_revision(
        &mut self,
        access: &str,
        grantee: &str,
        names: &[&str],
        mins: i64,
        revision: u64,
    ) -> Vec<Action> {
        let order = self.access_order(access, grantee, names, mins);
        self.order(Order::PutAccess(AccessOrder { revision: Revision(revision), ..order }))
    }

    pub(crate) fn access_order(&self, access: &str, grantee: &str, names: &[&str], mins: i64) -> AccessOrder {
        let now = Timestamp::from_secs(self.secs);
        AccessOrder {
            id: id(access),
            revision: Revision(1),
            integration: target(),
            grantee: Grantee {
                id: GranteeId::parse(grantee).unwrap(),
                hint: grantee.into(),
                key: GranteeKey("key".into()),
            },
            entitlements: rights(names),
            from: now,
            until: now.plus(Span::from_mins(mins)),
            approval: None,
        }
    }

    /// Sends the integration somewhere.
    pub(crate) fn lead(&mut self, revision: u64, host: &str) -> Vec<Action> {
        let found = self.book.integration(&target()).unwrap().integration.clone();
        let settings = BTreeMap::from([("hostname".into(), host.into())]);
        self.order(Order::PutIntegration(Integration { revision: Revision(revision), settings, ..found }))
    }

    /// Who answers where the integration leads.
    pub(crate) fn identified(&mut self, name: &str) -> Vec<Action> {
        self.input(Input::Identified { integration: target(), identity: TargetIdentity(name.into()) })
    }

    /// Answers as a target of that name.
    pub(crate) fn answer_by(&mut self, action: &Action, answer: Answer, by: &str) -> Vec<Action> {
        let by = Some(TargetIdentity(by.into()));
        self.input(Input::Answered { account: action.account, ticket: action.ticket, answer, by })
    }

    pub(crate) fn answer(&mut self, action: &Action, answer: Answer) -> Vec<Action> {
        self.input(Input::Answered { account: action.account, ticket: action.ticket, answer, by: None })
    }

    /// Does an action as a good target would, and whatever comes of it, until nothing is left to do.
    pub(crate) fn well(&mut self, actions: Vec<Action>) {
        let mut queue = actions;
        for _ in 0..100 {
            let Some(action) = queue.pop() else { return };
            let answer = done(&action.act);
            queue.extend(self.answer(&action, answer));
        }
        panic!("does not come to rest");
    }

    pub(crate) fn state(&self, access: &str) -> &'static str {
        let found = self.book.accounts().find_map(|record| record.accesses.get(&id(access)));
        match found {
            Some(access) => access.state.word(),
            None => self
                .reports
                .iter()
                .rev()
                .find_map(|report| match report {
                    Report::AccessChanged { access: told, state, .. } if *told == id(access) => {
                        Some(state.word())
                    }
                    _ => None,
                })
                .unwrap_or("unknown"),
        }
    }

    pub(crate) fn alarms(&self, code: &Code) -> usize {
        let told = |report: &&Report| matches!(report, Report::Alarm { code: told, .. } if told == code);
        self.reports.iter().filter(told).count()
    }

    pub(crate) fn refusals(&self, code: &Code) -> usize {
        let told =
            |report: &&Report| matches!(report, Report::OrderRefused { code: told, .. } if told == code);
        self.reports.iter().filter(told).count()
    }
}

fn restored(journal: &Memory, ownership: Ownership, life: u64, secs: i64) -> Book {
    let loaded = journal.load_now().unwrap();
    let rows = loaded.rows.iter().map(|row| (row.table, row.key.as_str(), row.body.as_str()));
    let reading = Reading { wall: Timestamp::from_secs(secs), monotonic: Span::from_secs(secs - START) };
    let first_ticket = u64::try_from(secs).unwrap() << 20;
    let connector = ConnectorId::parse("bench").unwrap();
    Book::restore(
        connector,
        Box::new(Desk { ownership, life }),
        rows,
        loaded.last_report,
        first_ticket,
        reading,
    )
    .unwrap()
}

pub(crate) fn present(account: &Account, login: Login, held: &EntitlementSet) -> Present {
    Present {
        name: account.name.clone(),
        immutable: account.immutable.clone().unwrap_or(ImmutableId("1".into())),
        login,
        entitlements: held.clone(),
        excess: vec![],
        sessions: 0,
        expires: None,
        mark: MarkState::Missing,
        residual: vec![],
    }
}

pub(crate) fn seen(found: Present) -> Observed {
    Observed { target_time: None, account: Some(Box::new(found)) }
}

pub(crate) fn marked(found: Present, draft: mark::MarkDraft) -> Present {
    let immutable = found.immutable.clone();
    let mark: Mark = draft.complete(TargetIdentity("t".into()), immutable);
    Present { mark: MarkState::Valid(Box::new(mark)), ..found }
}

/// What a good target answers.
pub(crate) fn done(act: &Act) -> Answer {
    match act {
        Act::Mint { generation, access, key, .. } => Answer::Minted {
            sealed: access.as_ref().map(|access| SealedCredential {
                generation: *generation,
                access: access.clone(),
                key: key.clone(),
                encapsulated: String::new(),
                ciphertext: generation.0.to_string(),
            }),
            verifier: Some(Verifier(generation.0.to_string())),
            key_before: None,
        },
        Act::Open { account, wanted, .. } | Act::Converge { account, wanted, .. } => Answer::Done {
            observed: seen(present(account, Login::Open, wanted)),
            lines: vec![],
            failure: None,
        },
        Act::Rotate { account, .. } => {
            let observed = seen(present(account, Login::Shut, &EntitlementSet::nothing()));
            Answer::Done { observed, lines: vec![], failure: None }
        }
        Act::Close { account, .. } => Answer::Closed(Climb {
            contained: true,
            in_doubt: false,
            failures: vec![],
            observed: Ok(seen(present(account, Login::Shut, &EntitlementSet::nothing()))),
        }),
        Act::Delete { .. } => Answer::Deleted { observed: Observed::absent(None) },
        Act::Observe { account } => {
            Answer::Observed(seen(present(account, Login::Open, &EntitlementSet::nothing())))
        }
    }
}

/// An answer to a ticket that was never given.
pub(crate) const NEVER_GIVEN: Ticket = Ticket(u64::MAX);
