//! One made-up world: targets, a control plane, an agent, a journal, and what happens to them in virtual
//! time. A seed is a world; running it twice tells the same story.

use std::collections::{BTreeMap, BTreeSet};

use journal::memory::Memory;
use model::{
    AccessId, AccountId, CloseOnly, DriverKind, EntitlementSet, Failure, Generation, GranteeId, Incarnation,
    Integration, IntegrationId, Lifecycle, Observed, Policy, Revision, SecretReference, Sighting, Span,
    TargetIdentity, Timestamp,
};
use rules::book::Step;
use rules::{Answer, Book, Input, Order, Reading, Ticket};
use uuid::Uuid;

use crate::agent::{Agent, Call, Desk, Next, account_id, account_name};
use crate::chains::Chains;
use crate::chaos::{Happening, Weather, draw};
use crate::check::{Checks, account_rows};
use crate::fault::Fault;
use crate::plane::Plane;
use crate::rng::Rng;
use crate::target::{Entry, Target};
use crate::weather::Landing;

/// True time at the beginning of every world.
pub(crate) const BEGINNING: i64 = 1_800_000_000_000;
pub(crate) const TARGETS: usize = 2;
pub(crate) const GRANTEES: usize = 3;
pub(crate) const RESOURCES: [&str; 4] = ["orders", "customers", "ledger", "stock"];

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Happens(Happening),
    Wakes {
        life: u64,
    },
    Lands(Landing),
    Answers {
        call: u64,
        sent: u64,
        outcome: Result<Option<Observed>, Failure>,
    },
    /// An answer turns up when nobody waits for it any more.
    Late {
        account: AccountId,
        ticket: Ticket,
        answer: Answer,
    },
    /// A call that was held up goes out.
    Goes {
        call: u64,
    },
    /// What a survey saw reaches the agent.
    Sighted {
        life: u64,
        target: usize,
        identity: TargetIdentity,
        sightings: Vec<Sighting>,
    },
    /// Somebody looks whether anything is overdue.
    Looks,
    Minted {
        life: u64,
        account: AccountId,
        ticket: Ticket,
        answer: Answer,
    },
    Calms,
    Surveys,
}

/// A world under way.
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) fault: Option<Fault>,
    pub(crate) targets: Vec<Target>,
    pub(crate) foreign: Vec<(usize, Entry)>,
    pub(crate) integrations: Vec<IntegrationId>,
    pub(crate) plane: Plane,
    pub(crate) plane_copy: Option<Plane>,
    pub(crate) journal: Memory,
    pub(crate) journal_copy: Option<Memory>,
    /// The integrations as the identity has them, which no loss of the journal touches.
    identity: BTreeMap<IntegrationId, Integration>,
    /// What a lying disk would still have after a crash.
    lied: Option<Memory>,
    pub(crate) agent: Option<Agent>,
    pub(crate) life: u64,
    pub(crate) link: bool,
    pub(crate) offset: i64,
    pub(crate) calm: bool,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) held_up: BTreeMap<u64, Next>,
    pub(crate) next_call: u64,
    pub(crate) tickets: BTreeMap<AccountId, Ticket>,
    /// Which life made which credential.
    pub(crate) minted: BTreeMap<u64, u64>,
    /// The clear text that a life keeps of an account.
    pub(crate) clear: BTreeMap<(u64, AccountId), (Generation, u64)>,
    pub(crate) serial: u64,
    /// An old copy of the journal was brought back.
    pub(crate) restored: bool,
    /// What the last call of a kind was answered.
    pub(crate) answers: BTreeMap<(AccountId, &'static str), (Ticket, Answer)>,
    /// Accounts whose deletion was only said to be done.
    pub(crate) pretended: BTreeSet<AccountId>,
    /// What was ever ordered: whose, what, and the latest deadline.
    pub(crate) ever: BTreeMap<AccessId, (AccountId, EntitlementSet, Timestamp)>,
    pub(crate) checks: Checks,
    pub(crate) chains: Chains,
    pub(crate) requests: u64,
    pub(crate) takes_verifier: bool,
    queue: BTreeMap<(i64, u64), Event>,
    sequence: u64,
    pub(crate) story: Option<Vec<String>>,
    pub(crate) steps: u64,
    wakes_here: u32,
    /// When the agent will be woken up; other wake-ups in the queue are void.
    pub(crate) wake_at: i64,
    /// The agent is not woken up later: what rotates never comes to rest.
    pub(crate) ends_at: i64,
}

pub(crate) type Told = Result<(), String>;

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>, telling: bool) -> Self {
        let mut rng = Rng::new(seed);
        let (weather, script) = draw(&mut rng);
        let integrations =
            (0..TARGETS).filter_map(|n| IntegrationId::parse(format!("target-{n}")).ok()).collect::<Vec<_>>();
        let mut world = Self {
            now: BEGINNING,
            weather,
            fault,
            targets: (0..TARGETS).map(Target::new).collect(),
            foreign: vec![],
            integrations,
            plane: Plane::new(incarnation(&mut rng)),
            plane_copy: None,
            journal: Memory::new(incarnation(&mut rng)),
            journal_copy: None,
            identity: BTreeMap::new(),
            lied: None,
            agent: None,
            life: 0,
            link: true,
            offset: 0,
            calm: false,
            calls: BTreeMap::new(),
            held_up: BTreeMap::new(),
            next_call: 1,
            tickets: BTreeMap::new(),
            minted: BTreeMap::new(),
            clear: BTreeMap::new(),
            serial: 0,
            restored: false,
            answers: BTreeMap::new(),
            pretended: BTreeSet::new(),
            ever: BTreeMap::new(),
            checks: Checks::default(),
            chains: Chains::default(),
            requests: 0,
            takes_verifier: rng.chance(700),
            queue: BTreeMap::new(),
            sequence: 0,
            story: telling.then(Vec::new),
            steps: 0,
            wakes_here: 0,
            wake_at: i64::MAX,
            ends_at: i64::MAX,
            rng,
        };
        let mut last = weather.horizon_ms;
        for (at, happening) in script {
            last = last.max(at);
            world.at(BEGINNING + at, Event::Happens(happening));
        }
        world.at(BEGINNING + last + 1_000, Event::Calms);
        for index in 0..TARGETS {
            let policy = Policy {
                credentials_rotation_period_in_days: weather.rotation_days,
                credentials_cleanup_period_in_days: weather.cleanup_days,
            };
            world.plane.order(Order::PutIntegration(Integration {
                id: world.integrations[index].clone(),
                revision: Revision(1),
                kind: DriverKind("made-up".into()),
                settings: BTreeMap::new(),
                secret: SecretReference("env://TIDEGATE_SECRET_X".into()),
                policy,
                lifecycle: Lifecycle::Live,
            }));
        }
        if weather.foreign {
            let immutable = world.targets[0].plant(&account_name(&grantee(0)));
            if let Some(entry) = world.targets[0].entries.get(&immutable) {
                world.foreign.push((0, entry.clone()));
            }
        }
        world
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = self.story.as_mut() {
            story.push(format!("{:>9.3}s  {}", (self.now - BEGINNING) as f64 / 1000.0, what()));
        }
    }

    pub(crate) fn at(&mut self, at: i64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    pub(crate) fn true_time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn reading(&self) -> Reading {
        Reading {
            wall: Timestamp::from_millis(self.now + self.offset),
            // A machine that believes its wall clock has no other to compare it with.
            monotonic: Span::from_millis(if self.fault == Some(Fault::WallClockOnly) {
                0
            } else {
                self.now - BEGINNING
            }),
        }
    }

    /// Runs to the end and checks it.
    pub(crate) fn run(&mut self) -> Told {
        self.start_agent()?;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > self.now {
                self.wakes_here = 0;
            }
            self.now = self.now.max(at);
            self.steps += 1;
            if self.steps > 60_000 {
                return Err("the world does not come to rest".into());
            }
            self.take(event)?;
        }
        self.final_check()
    }

    fn take(&mut self, event: Event) -> Told {
        match event {
            Event::Happens(happening) => self.happen(happening),
            Event::Wakes { life } => {
                let alive = self.agent.as_ref().is_some_and(|agent| agent.life == life);
                if !alive || self.wake_at != self.now {
                    return Ok(());
                }
                self.wake_at = i64::MAX;
                self.wakes_here += 1;
                if self.wakes_here > 200 {
                    return Err("the book wakes up again and again at one moment".into());
                }
                let reading = self.reading();
                if let Some(agent) = self.agent.as_mut() {
                    agent.book.handle_timeout(reading);
                }
                self.drain()
            }
            Event::Lands(landing) => self.land(landing),
            Event::Answers { call, sent, outcome } => self.answered(call, sent, outcome),
            Event::Late { account, ticket, answer } => {
                self.tell(|| format!("a late answer comes for {account}"));
                self.deliver(account, ticket, answer)
            }
            Event::Minted { life, account, ticket, answer } => {
                if self.agent.as_ref().is_some_and(|agent| agent.life == life) {
                    self.input(Input::Answered { account, ticket, answer, by: None })
                } else {
                    Ok(())
                }
            }
            Event::Goes { call } => {
                if let Some(next) = self.held_up.remove(&call) {
                    self.sets_out(call, next);
                }
                Ok(())
            }
            Event::Sighted { life, target, identity, sightings } => {
                if self.agent.as_ref().is_some_and(|agent| agent.life == life) {
                    self.sighted(target, identity, sightings)
                } else {
                    Ok(())
                }
            }
            Event::Looks => self.looks(),
            Event::Calms => self.calm_down(),
            Event::Surveys => self.survey(),
        }
    }

    // ---- the agent's shell ----

    pub(crate) fn start_agent(&mut self) -> Told {
        self.life += 1;
        let loaded = self.journal.load_now().map_err(|fault| fault.to_string())?;
        let rows = loaded.rows.iter().map(|row| (row.table, row.key.as_str(), row.body.as_str()));
        let connector = model::ConnectorId::parse("sim").map_err(|fault| fault.to_string())?;
        let mut book = Book::restore(
            connector,
            Box::new(Desk { life: self.life, fault: self.fault }),
            rows,
            loaded.last_report,
            self.life << 32,
            self.reading(),
        )
        .map_err(|fault| fault.to_string())?;
        self.tell(|| "the agent starts".into());
        book.handle(Input::Remembered(self.identity.values().cloned().collect()), self.reading());
        self.agent = Some(Agent { book, life: self.life, renewed: false });
        // Every target is surveyed a while after a start.
        self.at(self.now + 30_000, Event::Surveys);
        self.drain()?;
        self.connect()
    }

    pub(crate) fn crash(&mut self) {
        self.tell(|| "the agent is killed".into());
        self.agent = None;
        self.clear.clear();
        if self.fault == Some(Fault::ReportLost)
            && let Ok(loaded) = self.journal.load_now()
        {
            self.plane.committed.insert(loaded.incarnation, loaded.last_report);
        }
        // A call that was sent may still land; nobody waits for it.
        if let Some(lied) = self.lied.take() {
            self.journal = lied;
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Told {
        let reading = self.reading();
        if let Some(agent) = self.agent.as_mut() {
            agent.book.handle(input, reading);
            return self.drain();
        }
        Ok(())
    }

    /// Writes and acts until the book has nothing to say, then waits for its next time.
    pub(crate) fn drain(&mut self) -> Told {
        loop {
            let Some(agent) = self.agent.as_mut() else { return Ok(()) };
            rules::invariant::check(&agent.book)?;
            let Some(step) = agent.book.poll_step() else { break };
            if !self.write(step)? {
                break;
            }
        }
        self.sync_reports()?;
        (0..TARGETS).try_for_each(|target| self.clear(target))?;
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        let live = agent.book.integrations().filter(|found| !found.retired);
        self.identity = live.map(|found| (found.integration.id.clone(), found.integration.clone())).collect();
        if self.fault == Some(Fault::NoWakeUp) {
            return Ok(());
        }
        if let Some(at) = agent.book.poll_timeout() {
            let wait = at.as_millis().saturating_sub(agent.book.now().as_millis()).max(1);
            let life = agent.life;
            // Far timers are looked at again later, as a real shell would after an hour's sleep.
            let at = self.now + wait.min(3_600_000);
            if at <= self.ends_at {
                self.wake_at = at;
                self.at(at, Event::Wakes { life });
            }
        }
        Ok(())
    }

    /// Returns whether the agent can go on at once.
    fn write(&mut self, step: Step) -> Result<bool, String> {
        if self.fault == Some(Fault::ActsFirst) && self.rng.chance(20) {
            let ahead = self.journal.snapshot();
            if let (Ok(proof), Some(agent)) = (ahead.append_now(step.batch()), self.agent.as_mut()) {
                let actions =
                    agent.book.keep(step, &proof).map_err(|_| "a proof does not fit its step".to_string())?;
                // The machine stops between acting and writing.
                for action in actions {
                    self.dispatch(action);
                }
                self.crash();
                self.at(self.now + 2_000, Event::Happens(Happening::Restart));
                return Ok(false);
            }
            return Ok(false);
        }
        if self.fault == Some(Fault::LyingDisk) && self.rng.chance(200) {
            self.lied = Some(self.journal.snapshot());
        }
        let rows = account_rows(step.batch());
        let mut batch = step.batch().clone();
        if self.fault == Some(Fault::ReceiptsSkipped) {
            batch.writes.retain(|write| !matches!(write, model::durable::Write::Receipt { .. }));
        }
        match self.journal.append_now(&batch) {
            Ok(proof) => {
                let Some(agent) = self.agent.as_mut() else { return Ok(false) };
                let actions =
                    agent.book.keep(step, &proof).map_err(|_| "a proof does not fit its step".to_string())?;
                self.note_reports(&batch)?;
                for action in actions {
                    self.checks.begins(&action, &rows, false)?;
                    self.dispatch(action);
                }
                Ok(true)
            }
            Err(fault) if fault.is_lost() => {
                self.tell(|| "the journal does not answer: read again".into());
                // What is on disk is told to the control plane, whoever heard that it is there.
                if self.is_written(&batch)? {
                    self.note_reports(&batch)?;
                }
                self.agent = None;
                self.start_agent()?;
                Ok(false)
            }
            Err(fault) => {
                self.tell(|| format!("not written: {fault}"));
                let proof = CloseOnly::because(fault.to_string());
                let now = self.agent.as_ref().map_or(Timestamp::ZERO, |agent| agent.book.now());
                let Some(agent) = self.agent.as_mut() else { return Ok(false) };
                let closing = agent.book.drop_unwritten(step, &proof, now);
                for action in closing {
                    self.checks.begins(&action, &rows, true)?;
                    self.dispatch(action);
                }
                Ok(false)
            }
        }
    }

    fn is_written(&self, batch: &model::durable::Batch) -> Result<bool, String> {
        let (_, kept) = self.journal.place_now().map_err(|fault| fault.to_string())?;
        let last = batch.writes.iter().rev().find_map(|write| match write {
            model::durable::Write::Report { position, .. } => Some(*position),
            _ => None,
        });
        Ok(last.is_some_and(|last| last <= kept))
    }

    fn note_reports(&mut self, batch: &model::durable::Batch) -> Told {
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        if self.story.is_some() {
            let told: Vec<_> = batch
                .writes
                .iter()
                .filter_map(|write| match write {
                    model::durable::Write::Report { body, .. } => Some(body.clone()),
                    _ => None,
                })
                .collect();
            for body in told {
                if let Some(story) = self.story.as_mut() {
                    story.push(format!("{:>9.3}s    reports {body}", (self.now - BEGINNING) as f64 / 1000.0));
                }
            }
        }
        let plane = &self.plane;
        let copy = self.plane_copy.as_ref();
        let entitlements = |id: &model::AccessId| {
            let order = plane.orders.get(id).or_else(|| copy.and_then(|copy| copy.orders.get(id)));
            order.map(|order| (order.entitlements.clone(), order.until))
        };
        let target_of = |account: AccountId| {
            (0..TARGETS)
                .find(|n| {
                    (0..GRANTEES).any(|who| account_id(&self.integrations[*n], &grantee(who)) == account)
                })
                .unwrap_or(0)
        };
        self.checks.reported(batch, &agent.book, target_of, &self.targets, entitlements)
    }
}

/// The name of a made-up person.
pub(crate) fn grantee(n: usize) -> GranteeId {
    GranteeId::parse(format!("person-{n}")).unwrap_or_else(|_| unreachable!("a fixed name is an id"))
}

pub(crate) fn incarnation(rng: &mut Rng) -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u64_pair(rng.next(), rng.next()))
}
