//! One storm: opened, killed, resumed, let loose, and held against what the targets hold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use driver::naming;
use e2e::clock::{Watch, until};
use model::{ConnectorId, GranteeId, IntegrationId};
use proto::v1::order::Order;
use proto::v1::{self};
use services::usage::{Memory, processor};

use crate::agent::{Agent, CONNECTOR, target_name};
use crate::clock;
use crate::disk;
use crate::fair::{self, End};
use crate::figures::{Figures, mib, millis, percentile, share_ms};
use crate::plane::{Plane, Stands, time};
use crate::real::{self, Real};
use crate::target::shelf::Shelf;
use crate::target::trouble::Kind;
use crate::target::{KIND, READ_ONLY, THING};

/// The trouble begins so long before the deadlines, in milliseconds.
const BEFORE: i64 = 1_000;
/// After a restart the agent waits so long for calls of its last life that may still land: no storm is let loose within
/// it. In milliseconds.
const SETTLED: i64 = 12_000;
/// What starting again takes, with few accesses on few targets, in milliseconds.
const AGAIN: i64 = 4_000;
/// What surveying one target more takes, in milliseconds.
const A_SURVEY: i64 = 20;
/// How often a storm is begun anew, each time with twice the time for opening.
const TRIES: u32 = 4;
/// How long all may take to end after the trouble is over.
const ALL: Duration = Duration::from_secs(20 * 60);
/// How long the last reports may be on their way.
const TOLD: Duration = Duration::from_secs(60);

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program of the agent.
    pub agent: PathBuf,
    pub accesses: usize,
    pub targets: usize,
    /// How many more on one real target.
    pub real: usize,
    /// How long after the deadlines targets are slow, down or silent.
    pub trouble: Duration,
    /// How long opening all and starting the agent again may take; when that is too little, it is begun anew with more.
    pub lead: Duration,
    /// Whether the figures mean nothing.
    pub smoke: bool,
}

/// What a storm came to.
#[derive(Clone, Debug)]
pub struct Played {
    pub figures: Figures,
    /// Who was starved, and how; nothing is good.
    pub starved: Vec<String>,
    /// How long opening all took, for the next plan.
    pub opened: Duration,
}

/// What befalls a target: of 20, two are slow, one is down and one is silent.
pub const fn befalls(target: usize) -> Kind {
    match target % 20 {
        3 | 13 => Kind::Slow,
        7 => Kind::Down,
        17 => Kind::Silent,
        _ => Kind::None,
    }
}

/// Plays a storm; `tell` says how far it is.
///
/// # Errors
/// When an access is missing, ended early or otherwise than by its deadline, or anything is still open on a target.
pub async fn play(plan: &Plan, tell: &impl Fn(&str)) -> anyhow::Result<Played> {
    let mut lead = plan.lead;
    for _ in 0..TRIES {
        if let Some(played) = once(plan, lead, tell).await? {
            return Ok(played);
        }
        lead *= 2;
        tell(&format!("the deadline came before all were open: beginning anew, with {lead:?}"));
    }
    bail!("{} accesses were not open within {:?}", plan.accesses, lead / 2)
}

/// Plays it once; `None` when the deadlines came too soon.
async fn once(plan: &Plan, lead: Duration, tell: &impl Fn(&str)) -> anyhow::Result<Option<Played>> {
    let folder = services::process::workplace("storm")?;
    let disk = disk::kind(folder.path())?;
    let plane = Plane::start().await?;
    let agent = tokio::task::block_in_place(|| {
        Agent::set_up(&plan.agent, folder.path(), &plane.url(), plan.targets)
    })?;
    let real = match plan.real {
        0 => None,
        count => Some(tokio::task::block_in_place(|| Real::launch(&agent, count))?),
    };
    let mut stage = Stage { plan, plane, agent, real, base: 0 };
    let played = stage.play(lead, disk, tell).await;
    let played = played.with_context(|| format!("the agent said last:\n{}", stage.agent.tail()));
    // It goes before its folder does.
    tokio::task::block_in_place(|| drop(stage));
    played
}

/// Who takes part.
struct Stage<'p> {
    plan: &'p Plan,
    plane: Plane,
    agent: Agent,
    /// After the agent, so that it outlives it.
    real: Option<Real>,
    /// When the second of the deadlines begins, in milliseconds since 1970.
    base: i64,
}

/// What was measured before the storm.
struct Live {
    opened: Duration,
    open_processor: Duration,
    live: Memory,
    resumed: Memory,
    started: Duration,
    ready: Duration,
    known: Duration,
}

impl Stage<'_> {
    async fn play(
        &mut self,
        lead: Duration,
        disk: String,
        tell: &impl Fn(&str),
    ) -> anyhow::Result<Option<Played>> {
        let Some(live) = self.prepare(lead, tell).await? else { return Ok(None) };
        clock::sleep_until(self.base - BEFORE / 2).await;
        let pid = self.agent.pid()?;
        let before = processor(pid)?;
        tell("the storm");
        let all = self.all();
        let limit = self.plan.trouble + ALL;
        until("all have ended", limit, async || Ok((self.count()?.ended == all).then_some(()))).await?;
        // They are written together, and come one after the other.
        let receipts = 2 * all as u64;
        until("every opening and every end has its receipt", TOLD, async || {
            Ok((self.count()?.receipts >= receipts).then_some(()))
        })
        .await?;
        let (memory, spent) = (Memory::of(pid)?, processor(pid)?.saturating_sub(before));
        self.agent.stop()?;
        let ends = self.ends()?;
        let starved = fair::starved(&ends.healthy);
        let figures = Figures {
            name: "storm",
            accesses: self.plan.accesses,
            targets: self.plan.targets,
            rss_mib: mib(memory.peak),
            late_p50_ms: percentile(&ends.late, 50),
            late_p99_ms: percentile(&ends.late, 99),
            late_max_ms: percentile(&ends.late, 100),
            shut_p99_ms: percentile(&ends.shut, 99),
            shut_max_ms: percentile(&ends.shut, 100),
            slow_late_max_ms: ends.slow.iter().max().copied().unwrap_or(0),
            down_late_max_ms: ends.away.iter().max().copied().unwrap_or(0),
            real: self.plan.real,
            real_late_p50_ms: percentile(&ends.real, 50),
            real_late_p99_ms: percentile(&ends.real, 99),
            real_late_max_ms: percentile(&ends.real, 100),
            pause_max_ms: fair::longest_pause(&ends.healthy),
            live_rss_mib: mib(live.live.now),
            resumed_rss_mib: mib(live.resumed.now),
            resume_started_ms: millis(live.started),
            resume_ready_ms: millis(live.ready),
            resume_known_ms: millis(live.known),
            open_cpu_ms: share_ms(live.open_processor, all),
            close_cpu_ms: share_ms(spent, all),
            open_s: live.opened.as_secs_f64().round(),
            disk,
            smoke: self.plan.smoke,
        };
        Ok(Some(Played { figures, starved, opened: live.opened }))
    }

    /// Opens all, kills the agent and has it resume; `None` when the deadlines came too soon.
    async fn prepare(&mut self, lead: Duration, tell: &impl Fn(&str)) -> anyhow::Result<Option<Live>> {
        let Plan { accesses, targets, .. } = *self.plan;
        let all = self.all();
        self.agent.start().await?;
        let pid = self.agent.pid()?;
        self.base = (clock::now_ms() + millis(lead)) / 1000 * 1000 + 1000;
        let (watch, before) = (Watch::start(), processor(pid)?);
        tell(&format!(
            "opening {accesses} accesses on {targets} targets, and {} on a real one",
            all - accesses
        ));
        self.plane.order((0..targets).map(|target| self.integration(target)));
        if let Some(real) = &self.real {
            self.plane.order([real.integration()?]);
            self.plane.order((0..real.accesses).map(|n| Real::access(n, self.deadline(n))));
        }
        self.plane.order((0..accesses).map(|n| self.access(n)));
        // With many accesses they take longer.
        let surveys = A_SURVEY * i64::try_from(targets).unwrap_or(0) + i64::try_from(all / 10).unwrap_or(0);
        let latest = self.base - SETTLED - AGAIN - surveys;
        let in_time = until("all are open", lead, async || {
            let is_open = self.count()?.open == all;
            Ok((is_open || clock::now_ms() > latest).then_some(is_open))
        })
        .await?;
        if !in_time {
            return Ok(None);
        }
        let opened = watch.elapsed();
        let (live, open_processor) = (Memory::of(pid)?, processor(pid)?.saturating_sub(before));

        tell("killing the agent, and starting it again");
        self.agent.kill9()?;
        let sessions = self.count()?.sessions;
        let watch = Watch::start();
        let begun = self.agent.start().await?;
        let latest = self.base - SETTLED;
        let in_time = until("the control plane knows how all stand", lead, async || {
            let count = self.count()?;
            let is_known = count.sessions > sessions && count.held == Some(all as u64);
            Ok((is_known || clock::now_ms() > latest).then_some(is_known))
        })
        .await?;
        if !in_time {
            return Ok(None);
        }
        let known = watch.elapsed();
        let resumed = Memory::of(self.agent.pid()?)?;
        let (started, ready) = (begun.started, begun.ready);
        Ok(Some(Live { opened, open_processor, live, resumed, started, ready, known }))
    }

    /// Counts how all stand; what stands as it should not ends the storm.
    fn count(&self) -> anyhow::Result<crate::plane::Count> {
        let count = self.plane.count();
        if let Some(said) = &count.otherwise {
            bail!("something went otherwise than it should: {said}");
        }
        Ok(count)
    }

    fn all(&self) -> usize {
        self.plan.accesses + self.plan.real
    }

    fn deadline(&self, n: usize) -> i64 {
        self.base + i64::try_from(n % 1000).unwrap_or(0)
    }

    fn integration(&self, target: usize) -> Order {
        let name = target_name(target);
        let until = self.base.saturating_add(millis(self.plan.trouble));
        let settings = [
            ("hostname", format!("{name}.made-up.test")),
            ("folder", self.agent.target(target).display().to_string()),
            ("trouble", befalls(target).word().to_owned()),
            ("trouble_from", (self.base - BEFORE).to_string()),
            ("trouble_until", until.to_string()),
        ];
        Order::PutIntegration(v1::PutIntegration {
            secret_reference: format!("file://{name}.json"),
            integration_id: name,
            revision: 1,
            kind: KIND.into(),
            settings: settings.map(|(key, value)| (key.to_owned(), value)).into(),
            policy: None,
        })
    }

    fn access(&self, n: usize) -> Order {
        let (target, person) = self.whose(n);
        let mut key = vec![0; 32];
        key[0] = 9;
        Order::PutAccess(v1::PutAccess {
            access_id: access_id(n),
            revision: 1,
            integration_id: target_name(target),
            grantee: Some(v1::Grantee { id: person.clone(), hint: person, public_key: key }),
            entitlements: vec![v1::Entitlement {
                resource: Some(v1::ResourceId { kind: THING.into(), path: vec!["thing".into()] }),
                permission: READ_ONLY.into(),
            }],
            until: Some(time(self.deadline(n))),
            ..v1::PutAccess::default()
        })
    }

    /// On which target an access is, and whose it is: nobody has two on one target.
    fn whose(&self, n: usize) -> (usize, String) {
        let targets = self.plan.targets;
        (n % targets, format!("person-{}", n / targets))
    }

    /// Holds what the agent told against what the targets hold.
    fn ends(&self) -> anyhow::Result<Ends> {
        let Plan { accesses: all, targets, .. } = *self.plan;
        let told = self.plane.accesses();
        let ordered = self.all();
        ensure!(told.len() == ordered, "the agent told of {} accesses, of {ordered}", told.len());
        let connector = ConnectorId::parse(CONNECTOR).context("the connector's id")?;
        let mut shelves = BTreeMap::new();
        let mut made = 0;
        for target in 0..targets {
            let folder = self.agent.target(target);
            let shelf = Shelf::open(&folder).with_context(|| format!("open {}", folder.display()))?;
            made += shelf.numbers().context("count a target's accounts")?.count();
            let integration = IntegrationId::parse(target_name(target)).context("an integration's id")?;
            shelves.insert(target, (integration, shelf));
        }
        ensure!(made == all, "{made} accounts were made for {all} accesses");
        let mut ends = Ends::default();
        for n in 0..all {
            let (id, (target, person)) = (access_id(n), self.whose(n));
            let (at, late) = self.ended(&told, &id, n)?;
            let (integration, shelf) = shelves.get(&target).context("a target")?;
            let grantee = GranteeId::parse(person).context("a grantee's id")?;
            let account = naming::account_id(&connector, integration, &grantee);
            let number = shelf.find(account).context("find an account")?;
            let number = number.with_context(|| format!("{id} never had an account"))?;
            let row = shelf.read(number).context("read an account")?.context("an account")?;
            ensure!(!row.can_log_in, "{id} has ended, and its login is open");
            ensure!(row.held.is_empty(), "{id} has ended, and its account holds {:?}", row.held);
            let shut = row.shut_at.with_context(|| format!("{id} was never shut"))? - self.deadline(n);
            ensure!(shut >= 0, "{id} was shut {} ms before its deadline", -shut);
            match befalls(target) {
                Kind::None => {
                    ends.healthy.push(End { target, at: at - self.base });
                    ends.late.push(late);
                    ends.shut.push(shut);
                }
                Kind::Slow => ends.slow.push(late),
                Kind::Down | Kind::Silent => ends.away.push(late),
            }
        }
        if let Some(real) = &self.real {
            for n in 0..real.accesses {
                ends.real.push(self.ended(&told, &real::id(n), n)?.1);
            }
            tokio::task::block_in_place(|| real.seen_shut())?;
        }
        ends.late.sort_unstable();
        ends.shut.sort_unstable();
        ends.real.sort_unstable();
        Ok(ends)
    }

    /// When an access ended, and how late that was.
    fn ended(&self, told: &BTreeMap<String, Stands>, id: &str, n: usize) -> anyhow::Result<(i64, i64)> {
        let Some(Stands::Ended { at }) = told.get(id) else { bail!("{id} did not end: {:?}", told.get(id)) };
        let late = at - self.deadline(n);
        ensure!(late >= 0, "{id} ended {} ms before its deadline", -late);
        Ok((*at, late))
    }
}

/// How late all ended, in milliseconds.
#[derive(Default)]
struct Ends {
    healthy: Vec<End>,
    /// Of the healthy, sorted.
    late: Vec<i64>,
    /// Until the login was shut, of the healthy, sorted.
    shut: Vec<i64>,
    slow: Vec<i64>,
    away: Vec<i64>,
    /// On the real target, sorted.
    real: Vec<i64>,
}

fn access_id(n: usize) -> String {
    format!("s-{n:06}")
}
