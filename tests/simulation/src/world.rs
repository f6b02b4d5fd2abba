//! One made-up world: targets, a control plane, an agent, a journal, and what happens to them in virtual
//! time. A seed is a world; running it twice tells the same story.

use std::collections::{BTreeMap, BTreeSet};

use journal::memory::Memory;
use model::{
    AccountId, AccountRef, CloseOnly, Code, DriverKind, Failure, Generation, GranteeId, Incarnation,
    Integration, IntegrationId, Lifecycle, Observed, Policy, Revision, SealedCredential, SecretReference,
    Span, Timestamp, Verifier,
};
use rules::book::Step;
use rules::{Act, Action, Answer, Book, Input, Order, Reading, Source, Ticket};
use uuid::Uuid;

use crate::agent::{Agent, Call, Desk, Next, account_id, account_name};
use crate::chaos::{Happening, Weather, draw};
use crate::check::{Checks, account_rows};
use crate::fault::Fault;
use crate::plane::Plane;
use crate::rng::Rng;
use crate::target::{Entry, Target, Verb};

/// True time at the beginning of every world.
const BEGINNING: i64 = 1_800_000_000_000;
/// A call gives up on an answer after this long.
const TIME_OUT: i64 = 5_000;
pub(crate) const TARGETS: usize = 2;
pub(crate) const GRANTEES: usize = 3;
pub(crate) const RESOURCES: [&str; 4] = ["orders", "customers", "ledger", "stock"];

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Happens(Happening),
    Wakes { life: u64 },
    Lands(Landing),
    Answers { call: u64, sent: u64, outcome: Result<Option<Observed>, Failure> },
    Stale { account: AccountId, ticket: Ticket, observed: Observed },
    Minted { life: u64, account: AccountId, ticket: Ticket, answer: Answer },
    Calms,
    Surveys,
}

/// A verb on its way to a target. It lands whether or not anybody still waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Landing {
    call: u64,
    sent: u64,
    verb: Verb,
    account: AccountRef,
    target: usize,
    closing: bool,
    answered_at: Option<i64>,
    twice: bool,
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
    /// What a lying disk would still have after a crash.
    lied: Option<Memory>,
    pub(crate) agent: Option<Agent>,
    pub(crate) life: u64,
    pub(crate) link: bool,
    pub(crate) offset: i64,
    pub(crate) calm: bool,
    calls: BTreeMap<u64, Call>,
    next_call: u64,
    tickets: BTreeMap<AccountId, Ticket>,
    minted: BTreeSet<(u64, AccountId, Generation)>,
    pub(crate) checks: Checks,
    pub(crate) requests: u64,
    pub(crate) takes_verifier: bool,
    queue: BTreeMap<(i64, u64), Event>,
    sequence: u64,
    pub(crate) story: Option<Vec<String>>,
    pub(crate) steps: u64,
    wakes_here: u32,
    /// When the agent will be woken up; other wake-ups in the queue are void.
    pub(crate) wake_at: i64,
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
            lied: None,
            agent: None,
            life: 0,
            link: true,
            offset: 0,
            calm: false,
            calls: BTreeMap::new(),
            next_call: 1,
            tickets: BTreeMap::new(),
            minted: BTreeSet::new(),
            checks: Checks::default(),
            requests: 0,
            takes_verifier: rng.chance(700),
            queue: BTreeMap::new(),
            sequence: 0,
            story: telling.then(Vec::new),
            steps: 0,
            wakes_here: 0,
            wake_at: i64::MAX,
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
                credentials_rotation_period_in_days: None,
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
                if self.wake_at != self.now {
                    return Ok(());
                }
                self.wake_at = i64::MAX;
                self.wakes_here += 1;
                if self.wakes_here > 200 {
                    return Err("the book wakes up again and again at one moment".into());
                }
                let reading = self.reading();
                match self.agent.as_mut() {
                    Some(agent) if agent.life == life => agent.book.handle_timeout(reading),
                    _ => return Ok(()),
                }
                self.drain()
            }
            Event::Lands(landing) => self.land(landing),
            Event::Answers { call, sent, outcome } => self.answered(call, sent, outcome),
            Event::Stale { account, ticket, observed } => {
                let ticket = match self.fault {
                    Some(Fault::AnyAnswer) => self.tickets.get(&account).copied().unwrap_or(ticket),
                    _ => ticket,
                };
                self.tell(|| format!("a late answer comes for {account}"));
                self.input(Input::Answered {
                    account,
                    ticket,
                    answer: Answer::Done { observed, lines: vec![], failure: None },
                })
            }
            Event::Minted { life, account, ticket, answer } => {
                if self.agent.as_ref().is_some_and(|agent| agent.life == life) {
                    self.input(Input::Answered { account, ticket, answer })
                } else {
                    Ok(())
                }
            }
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
        let book = Book::restore(
            connector,
            Box::new(Desk),
            rows,
            loaded.last_report,
            self.life << 32,
            self.reading(),
        )
        .map_err(|fault| fault.to_string())?;
        self.tell(|| "the agent starts".into());
        self.agent = Some(Agent { book, life: self.life, renewed: false });
        self.connect()
    }

    pub(crate) fn crash(&mut self) {
        self.tell(|| "the agent is killed".into());
        self.agent = None;
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
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        if self.fault == Some(Fault::NoWakeUp) {
            return Ok(());
        }
        if let Some(at) = agent.book.poll_timeout() {
            let wait = at.as_millis().saturating_sub(agent.book.now().as_millis()).max(1);
            let life = agent.life;
            // Far timers are looked at again later, as a real shell would after an hour's sleep.
            self.wake_at = self.now + wait.min(3_600_000);
            self.at(self.wake_at, Event::Wakes { life });
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
        let batch = step.batch().clone();
        match self.journal.append_now(step.batch()) {
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
        let Some(agent_again) = self.agent.as_ref() else { return Ok(()) };
        debug_assert_eq!(agent.life, agent_again.life);
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
        self.checks.reported(batch, &agent_again.book, target_of, &self.targets, entitlements)
    }

    fn dispatch(&mut self, action: Action) {
        let Some(life) = self.agent.as_ref().map(|agent| agent.life) else { return };
        self.tickets.insert(action.account, action.ticket);
        self.tell(|| format!("does {} for {}", action.act.word(), action.account));
        if let Act::Mint { generation, access, key, .. } = &action.act {
            let generation = match self.fault {
                Some(Fault::ForgetsCredential) => Generation(generation.0 + 1),
                _ => *generation,
            };
            self.minted.insert((life, action.account, generation));
            let sealed = access.as_ref().map(|access| SealedCredential {
                generation: match self.fault {
                    Some(Fault::ForgetsCredential) => Generation(generation.0 - 1),
                    _ => generation,
                },
                access: access.clone(),
                key: key.clone(),
                encapsulated: String::new(),
                ciphertext: String::new(),
            });
            let verifier = self.takes_verifier.then(|| Verifier(generation.0.to_string()));
            let answer = Answer::Minted { sealed, verifier };
            let at = self.now + self.rng.between(1, 5);
            self.at(at, Event::Minted { life, account: action.account, ticket: action.ticket, answer });
            return;
        }
        let mut call = Call::new(life, action, self.weather.fused, true, self.fault);
        let next = call.begin();
        let id = self.next_call;
        self.next_call += 1;
        self.calls.insert(id, call);
        if let Err(_refused) = self.go_on(id, next) {
            self.calls.remove(&id);
        }
    }

    fn go_on(&mut self, id: u64, next: Next) -> Told {
        match next {
            Next::Send(verb) => {
                self.send(id, verb);
                Ok(())
            }
            Next::Answer(answer) => {
                let Some(call) = self.calls.remove(&id) else { return Ok(()) };
                let heard = match &answer {
                    Answer::Done { observed, .. }
                    | Answer::Deleted { observed }
                    | Answer::Observed(observed) => observed.target_time,
                    Answer::Closed(climb) => {
                        climb.observed.as_ref().ok().and_then(|observed| observed.target_time)
                    }
                    Answer::Failed(_) | Answer::Minted { .. } => None,
                };
                if let Some(said) = heard {
                    self.input(Input::Heard { source: Source::Target, said })?;
                }
                let (account, ticket) = (call.action.account, call.action.ticket);
                self.input(Input::Answered { account, ticket, answer: answer.clone() })?;
                if self.rng.chance(50) {
                    self.input(Input::Answered { account, ticket, answer })?;
                }
                // What it saw may turn up once more, when it is true no longer.
                let index = self.target_index(&call.action.integration);
                let now = self.true_time();
                if self.rng.chance(150)
                    && let Ok(Some(observed)) =
                        self.targets[index].act(&call.account, &Verb::Observe, now, false, false)
                {
                    let at = self.now + self.rng.between(1, 20_000);
                    self.at(at, Event::Stale { account, ticket, observed });
                }
                Ok(())
            }
        }
    }

    /// Sends a verb into the weather.
    fn send(&mut self, id: u64, verb: Verb) {
        let Some(call) = self.calls.get(&id) else { return };
        let sent = call.sent;
        let index = self.target_index(&call.action.integration);
        let quick = self.now + self.rng.between(2, 200);
        if !self.targets[index].up {
            let outcome = Err(Failure::not_done(Code::UNREACHABLE, "the target is down"));
            self.at(quick, Event::Answers { call: id, sent, outcome });
            return;
        }
        let bad = !self.calm && self.rng.chance(self.weather.bad_calls);
        let gives_up = self.now + TIME_OUT;
        let timed_out = match self.fault {
            Some(Fault::TimeOutIsDone) if verb != Verb::Observe => Ok(None),
            _ => Err(Failure::unknown(Code::TIMED_OUT, "no answer in time")),
        };
        let landing = Landing {
            call: id,
            sent,
            verb,
            account: call.account.clone(),
            target: index,
            closing: matches!(call.action.act, Act::Close { .. }),
            answered_at: Some(quick),
            twice: false,
        };
        if !bad {
            self.at(quick, Event::Lands(landing));
            return;
        }
        match self.rng.index(7) {
            0 => {
                let outcome = Err(Failure::refused(Code::RIGHT_MISSING, "refused"));
                self.at(quick, Event::Answers { call: id, sent, outcome });
            }
            1 => {
                let outcome = Err(Failure::not_done(Code::BUSY, "busy"));
                self.at(quick, Event::Answers { call: id, sent, outcome });
            }
            2 => {
                self.at(quick, Event::Lands(Landing { answered_at: None, ..landing }));
                self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out });
            }
            3 => self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out }),
            4 => {
                // It lands after we gave up, within the server's own deadline.
                let late = gives_up + self.rng.between(1, 5_000);
                self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out });
                self.at(late, Event::Lands(Landing { answered_at: None, ..landing }));
            }
            5 => {
                self.at(quick, Event::Lands(Landing { answered_at: Some(quick + 3), twice: true, ..landing }))
            }
            _ => {
                let slow = self.now + self.rng.between(1_000, TIME_OUT - 100);
                self.at(slow, Event::Lands(Landing { answered_at: Some(slow), ..landing }));
            }
        }
    }

    fn target_index(&self, integration: &IntegrationId) -> usize {
        self.integrations.iter().position(|known| known == integration).unwrap_or(0)
    }

    fn land(&mut self, landing: Landing) -> Told {
        let Landing { call: id, sent, verb, account, target, closing, answered_at, twice } = landing;
        if !self.targets[target].up {
            // It went down under the call: whether it was done, nobody can say.
            if let Some(at) = answered_at {
                let outcome = Err(Failure::unknown(Code::UNREACHABLE, "the connection broke"));
                self.at(at, Event::Answers { call: id, sent, outcome });
            }
            return Ok(());
        }
        let verb = match (self.fault, verb) {
            (Some(Fault::SessionsLive), Verb::Rung(model::Rung::EndSessions))
            | (Some(Fault::LoginStaysOpen), Verb::Rung(model::Rung::ShutLogin)) => None,
            (_, verb) => Some(verb),
        };
        let now = self.true_time();
        let by_name = self.fault == Some(Fault::ByNameAlone);
        let adds = self.fault == Some(Fault::OnlyAdds);
        let mut outcome = match &verb {
            Some(verb) => self.targets[target].act(&account, verb, now, by_name, adds),
            None => Ok(None),
        };
        self.tell(|| format!("    {verb:?} lands: {}", if outcome.is_ok() { "done" } else { "refused" }));
        if self.fault == Some(Fault::StaleReadBack)
            && closing
            && let Ok(Some(observed)) = &mut outcome
        {
            *observed = Observed::absent(Some(now));
        }
        if let Ok(None) = &outcome {
            self.checks.landed(&self.targets, now)?;
        }
        if let Some(at) = answered_at {
            if twice {
                self.at(at + 1, Event::Answers { call: id, sent, outcome: outcome.clone() });
            }
            self.at(at, Event::Answers { call: id, sent, outcome });
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, sent: u64, outcome: Result<Option<Observed>, Failure>) -> Told {
        let alive = self.agent.as_ref().map(|agent| agent.life);
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.sent != sent {
            return Ok(());
        }
        if alive != Some(call.life) {
            self.calls.remove(&id);
            return Ok(());
        }
        let next = call.took(outcome);
        self.go_on(id, next)
    }
}

/// The name of a made-up person.
pub(crate) fn grantee(n: usize) -> GranteeId {
    GranteeId::parse(format!("person-{n}")).unwrap_or_else(|_| unreachable!("a fixed name is an id"))
}

pub(crate) fn incarnation(rng: &mut Rng) -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u64_pair(rng.next(), rng.next()))
}
