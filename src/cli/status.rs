//! `tidegate status`: how a running agent stands, asked on its local socket.

use clap::Args as Arguments;
use model::{Lifecycle, Span, Timestamp};
use rules::book::{LaneView, Tally};

use super::fault::Fault;
use super::health::{link_line, mode_line, part_line};
use super::print::Lines;
use super::shared::{ask_agent, block_on};
use super::{Context, Ended};
use crate::admin::{Link, Mode, Readiness};
use crate::exit::Exit;
use crate::socket::words::{Answer, Question};
use crate::status::{Health, HealthState, IntegrationStatus, Pauses, Status, Work};

const EXAMPLES: &str = "\
Examples:
  tidegate status
  tidegate status --json | jq '.work.integrations[] | select(.tally.lane.breaker_open) | .id'
  tidegate status orders-db          # one integration only

It ends with 0 when the agent answered, whatever it said: `tidegate health` ends with 6 when it is not ready.";

/// Show how the running agent stands: link, journal, deadlines, and each integration's queue and breaker
///
/// Run it as the agent's user or as root: it asks on the agent's local socket.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show only these integrations
    integrations: Vec<model::IntegrationId>,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    let answer = block_on(ask_agent(&config, &Question::Status))?;
    let Answer::Status(mut status) = answer else { return Err(Fault::unfit_answer()) };
    if let Some(work) = &mut status.work {
        let missing = args.integrations.iter().find(|id| work.integrations.iter().all(|one| one.id != **id));
        if let Some(id) = missing {
            return Err(Fault::Usage(format!(
                "there is no integration `{id}`: `tidegate status` lists those that are known"
            )));
        }
        work.integrations.retain(|one| args.integrations.is_empty() || args.integrations.contains(&one.id));
    }
    context.printer.answer(&status, |lines| tell(&status, lines))?;
    Ok(Exit::Done)
}

fn tell(status: &Status, lines: &mut Lines) {
    let (readiness, now) = (&status.report.readiness, status.now);
    let mut rows = vec![
        ["agent".into(), format!("connector {}, version {}", status.connector, status.version)],
        [
            "process".into(),
            format!("{}, since {} ({})", status.process, status.started, ago(status.started, now)),
        ],
        ["ready".into(), if status.report.ready { "yes" } else { "no" }.to_owned()],
        ["mode".into(), mode(readiness)],
        ["link".into(), link_line(&readiness.link)],
        ["journal".into(), part_line(&readiness.journal)],
        ["identity".into(), part_line(&readiness.identity)],
        ["log level".into(), status.log_level.clone()],
    ];
    let Some(work) = &status.work else {
        rows.push(["engine".into(), "does not answer: what it does is not known; look at the log".into()]);
        lines.table(&rows);
        return;
    };
    rows.extend(of_work(work, now));
    lines.table(&rows);
    if work.integrations.is_empty() {
        lines.push("");
        lines.push("No integration is known: the control plane gives them.");
        return;
    }
    lines.push("");
    let titles = [
        "INTEGRATION",
        "KIND",
        "HEALTH",
        "BREAKER",
        "OPEN",
        "OPENING",
        "ENDING",
        "OVERDUE",
        "CALLS",
        "WAITING",
        "NEXT DEADLINE",
    ];
    let mut table = vec![titles.map(str::to_owned)];
    table.extend(work.integrations.iter().map(|one| row(one, now)));
    lines.table(&table);
    let remarks: Vec<_> = work.integrations.iter().flat_map(|one| remarks(one, now)).collect();
    if !remarks.is_empty() {
        lines.push("");
        remarks.iter().for_each(|remark| lines.push(remark));
    }
}

fn of_work(work: &Work, now: Timestamp) -> Vec<[String; 2]> {
    let Tally { counts, lane, next_deadline, .. } = &work.total;
    let overdue = match work.longest_overdue_ms {
        Some(ms) => format!("{}, the longest for {}", counts.overdue, short(Span::from_millis(ms))),
        None => "none".into(),
    };
    let mut rows = vec![
        [
            "accesses".into(),
            format!(
                "{} open, {} opening, {} interrupted, {} ending",
                counts.active, counts.opening, counts.interrupted, counts.ending
            ),
        ],
        ["overdue".into(), overdue],
        ["next deadline".into(), deadline(*next_deadline, now)],
        ["work".into(), format!("{} calls under way, {} wait for a slot", lane.calls, waiting(lane))],
        ["reports".into(), format!("{} wait for the control plane", work.uncommitted_reports)],
    ];
    if let Some(who) = paused(work.paused) {
        rows.push(["paused".into(), who.to_owned()]);
    }
    // Effective time never goes back: it is ahead after the clock had been.
    let ahead = work.effective.since(now);
    if ahead >= Span::from_secs(1) {
        let told = format!("{} ({} ahead of the machine's clock)", work.effective, short(ahead));
        rows.push(["effective time".into(), told]);
    }
    rows
}

fn row(one: &IntegrationStatus, now: Timestamp) -> [String; 11] {
    let Tally { counts, lane, next_deadline, .. } = &one.tally;
    [
        one.id.to_string(),
        one.kind.to_string(),
        health(one, now),
        if lane.breaker_open { "open" } else { "closed" }.to_owned(),
        counts.active.to_string(),
        counts.opening.to_string(),
        counts.ending.to_string(),
        counts.overdue.to_string(),
        lane.calls.to_string(),
        waiting(lane).to_string(),
        deadline(*next_deadline, now),
    ]
}

/// Says what the agent does; without a link nothing new is ordered.
fn mode(readiness: &Readiness) -> String {
    match (&readiness.mode, &readiness.link) {
        (Mode::Open, Link::Down { .. }) => {
            "closes; opens only what was ordered before the link went down".to_owned()
        }
        (mode, _) => mode_line(mode),
    }
}

/// Says how a target was at the last look, and when that was: it may have stopped since, of which the breaker tells.
fn health(one: &IntegrationStatus, now: Timestamp) -> String {
    one.health.as_ref().map_or_else(
        || "not looked at".to_owned(),
        |health| format!("{}, {}", health.state.word(), ago(health.at, now)),
    )
}

/// Returns what of an integration is worth a line of its own.
fn remarks(one: &IntegrationStatus, now: Timestamp) -> Vec<String> {
    let mut remarks = vec![];
    let id = &one.id;
    if let Some(Health { state, at, code, detail }) = &one.health
        && *state != HealthState::Good
    {
        let code = code.as_ref().map(ToString::to_string).filter(|code| code != state.word());
        let code = code.map(|code| format!("{code}: ")).unwrap_or_default();
        remarks.push(format!("{id}: {}, seen {}: {code}{detail}", state.word(), ago(*at, now)));
    }
    if one.tally.lane.breaker_open {
        let next = match one.tally.lane.probe_at {
            None => "one is under way".to_owned(),
            Some(at) if at <= now => "the next is due".to_owned(),
            Some(at) => format!("the next: {}", deadline(Some(at), now)),
        };
        remarks.push(format!("{id}: the target did not answer the last call; one probe at a time, {next}"));
    }
    if let Some(ms) = one.longest_overdue_ms {
        let longest = short(Span::from_millis(ms));
        remarks.push(format!("{id}: {} overdue, the longest for {longest}", one.tally.counts.overdue));
    }
    if let Some(who) = paused(one.paused) {
        remarks.push(format!("{id}: opening is paused {who}"));
    }
    if let Some(other) = &one.replaced_by {
        remarks.push(format!(
            "{id}: another target answers ({}): mend its address, or `tidegate resume {id}` if that is meant",
            other.0
        ));
    }
    if one.moved {
        remarks.push(format!(
            "{id}: it is not proven that its configuration leads to its target; what is open is closed where it was opened"
        ));
    }
    if one.lifecycle == Lifecycle::Retiring {
        remarks.push(format!("{id}: is being retired"));
    }
    remarks
}

/// Returns who has stopped opening.
fn paused(pauses: Pauses) -> Option<&'static str> {
    match (pauses.by_order, pauses.here) {
        (true, true) => Some("by the control plane and beside the agent"),
        (true, false) => Some("by the control plane"),
        (false, true) => Some("beside the agent: `tidegate resume` allows it again"),
        (false, false) => None,
    }
}

fn waiting(lane: &LaneView) -> u64 {
    lane.closing + lane.opening + lane.housekeeping
}

fn deadline(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        None => "none".into(),
        Some(at) if at >= now => format!("{at} (in {})", short(at.since(now))),
        Some(at) => format!("{at} ({})", ago(at, now)),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", short(now.since(at)))
}

/// Returns a length of time without what nobody looks at: to the second, and to the minute beyond an hour.
fn short(span: Span) -> String {
    let secs = span.as_millis() / 1000;
    let rounded = if secs >= 3600 { secs - secs % 60 } else { secs };
    Span::from_secs(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integration(state: HealthState, breaker_open: bool) -> IntegrationStatus {
        let mut tally = Tally::default();
        tally.lane.breaker_open = breaker_open;
        IntegrationStatus {
            id: model::IntegrationId::parse("shop-db").unwrap(),
            kind: model::DriverKind("postgres".into()),
            revision: model::Revision(1),
            lifecycle: Lifecycle::Live,
            paused: Pauses::default(),
            replaced_by: None,
            moved: false,
            health: Some(Health {
                state,
                at: Timestamp::from_secs(1_000),
                code: (state == HealthState::Unreachable).then_some(model::Code::UNREACHABLE),
                detail: "no connection".into(),
            }),
            tally,
            longest_overdue_ms: None,
        }
    }

    #[test]
    fn a_word_on_a_target_tells_its_age_and_what_a_silent_one_waits_for() {
        let now = Timestamp::from_secs(1_028);
        assert_eq!(health(&integration(HealthState::Good, false), now), "good, 28s ago");
        assert_eq!(
            remarks(&integration(HealthState::Unreachable, false), now),
            ["shop-db: unreachable, seen 28s ago: no connection"],
            "the same word is said once"
        );
        let silent = "shop-db: the target did not answer the last call; one probe at a time, ";
        let table =
            [(None, "one is under way"), (Some(1_020), "the next is due"), (Some(1_030), "the next: 1970")];
        for (probe_at, next) in table {
            let mut one = integration(HealthState::Good, true);
            one.tally.lane.probe_at = probe_at.map(Timestamp::from_secs);
            let told = remarks(&one, now).concat();
            assert!(told.starts_with(&format!("{silent}{next}")), "{told}");
        }
    }

    #[test]
    fn without_a_link_nothing_new_opens() {
        let at = Timestamp::from_secs(1);
        let mut readiness = Readiness { mode: Mode::Open, ..Readiness::starting(at) };
        assert!(mode(&readiness).contains("only what was ordered before"));
        readiness.link = Link::Up { since: at };
        assert_eq!(mode(&readiness), "opens and closes");
    }

    #[test]
    fn times_are_told_as_people_read_them() {
        let at = Timestamp::from_secs;
        assert_eq!(deadline(None, at(1_000)), "none");
        assert_eq!(deadline(Some(at(1_090)), at(1_000)), "1970-01-01T00:18:10.000Z (in 1m30s)");
        assert_eq!(deadline(Some(at(990)), at(1_000)), "1970-01-01T00:16:30.000Z (10s ago)");
        assert_eq!(short(Span::from_millis(7_322_450)), "2h2m");
        assert_eq!(short(Span::from_millis(999)), "0s");
    }
}
