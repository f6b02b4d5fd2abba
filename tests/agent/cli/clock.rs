//! Clocks that are wrong, step or sleep, as the running agent meets them: its own, the control plane's, the target's.
//! The machine's are left alone: a debug build takes its own from a file, see `src/clock.rs`. What each case means is
//! the table of `crates/rules/src/clock`.

use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use rustix::process::Signal;
use serde_json::Value;
use services::postgres::Mode;

use crate::plane::until;
use crate::world::{INTEGRATION, World};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
/// As `rules::account::GRACE`: by so much native expiry lies after the deadline.
const GRACE: i64 = 5 * MINUTE;
/// Two clocks may be that far apart.
const TOLERANCE: i64 = 30;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// This machine's clock, which no test changes.
fn now() -> i64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

fn end(world: &World, access: &str) {
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: access.into() })]);
}

/// Opens an access of so long.
fn open(world: &World, access: &str, grantee: &str, long: Duration) {
    world.put(access, grantee, "orders", long);
    world.wait(access, "active", |state| matches!(state, State::Active(_)));
}

fn alarms(world: &World, code: &str) -> usize {
    let is = |report: &&Told| matches!(report, Told::Alarm(alarm) if alarm.code == code);
    world.plane.reports().iter().filter(is).count()
}

fn gauge(world: &mut World, name: &str) -> f64 {
    let text = world.agent().get("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not measured: {text}")).parse().unwrap()
}

/// Waits until the agent says that nothing opens because of the clocks, and gives the reason.
fn wait_untrusted(world: &World) -> String {
    let told = until(|| {
        let told = world.health(&["--json"]).json();
        let reason = told["reason"].as_str().unwrap_or_default().to_owned();
        (told["ready"] == false && reason.starts_with("clock_untrusted: ")).then_some(reason)
    });
    told.expect("it is not ready because of the clocks")
}

fn wait_ready(world: &World) {
    until(|| (world.health(&[]).code == 0).then_some(())).expect("it is ready");
}

/// Asks for an access, and makes sure by a later order that it was seen and not opened.
fn held_back(world: &World, access: &str, grantee: &str, witness: &str) {
    world.put(access, grantee, "orders", minutes(6 * 60));
    end(world, witness);
    world.wait_ended(witness);
    assert!(matches!(world.plane.state(access), Some(State::Accepted(_))), "{:?}", world.plane.state(access));
}

/// When the target itself ends logins of each account that may log in, in seconds, by its own clock.
fn native_expiries(world: &World) -> Vec<i64> {
    let query = format!(
        "select extract(epoch from rolvaliduntil)::int8 from pg_roles where rolcanlogin and rolname <> '{}' order by 1",
        world.server.superuser()
    );
    world.server.psql("postgres", &query).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

fn effective(world: &World) -> i64 {
    let status = world.run(&["status", "--json"]).ended(0).json();
    let text = status["work"]["effective"].as_str().unwrap().to_owned();
    text.parse::<model::Timestamp>().unwrap().as_secs()
}

#[test]
fn an_hour_ahead_ends_what_is_due_and_it_stays_ended_when_the_clock_comes_back() {
    let mut world = World::start(&[]);
    open(&world, "due", "ann", minutes(30));
    for (access, grantee) in [("w-1", "bob"), ("w-2", "carl")] {
        open(&world, access, grantee, minutes(6 * 60));
    }
    world.bench.set_clock(HOUR, 0);
    world.wait_ended("due");
    assert_eq!(world.logins().len(), 2, "what is not due stays");
    let reason = wait_untrusted(&world);
    assert!(reason.contains("disagree"), "{reason}");
    held_back(&world, "later", "dora", "w-1");
    assert_eq!(alarms(&world, "clock_untrusted"), 1);
    let skew = gauge(&mut world, "tidegate_clock_skew_seconds");
    assert!((-3_660.0..-3_540.0).contains(&skew), "{skew}");
    assert!(gauge(&mut world, "tidegate_can_open").abs() < f64::EPSILON);

    // It comes back: a deadline that was crossed stays crossed, and effective time where it was.
    world.bench.set_clock(0, 0);
    world.put("due", "ann", "orders", minutes(30));
    world.plane.until("the ended access is refused", || {
        let refused = |report: &Told| {
            matches!(report, Told::OrderRefused(told) if told.code == "id_ended" && told.access_id == "due")
        };
        world.plane.reports().iter().any(refused).then_some(())
    });
    // Closing the witness before has read the target's clock, too: two agree that it was wrong, and it comes down.
    wait_ready(&world);
    assert!((effective(&world) - now()).abs() <= TOLERANCE, "effective time is what two clocks agree on");
    world.wait("later", "active", |state| matches!(state, State::Active(_)));
    assert!(matches!(world.plane.state("due"), Some(State::Ended(_))));
    assert_eq!(world.logins().len(), 2, "{:?}", world.logins());
}

#[test]
fn an_hour_back_extends_nothing() {
    let mut world = World::start(&[]);
    let begun = now();
    open(&world, "short", "ann", Duration::from_secs(40));
    for (access, minutes_long) in [("b-1", 60), ("b-2", 120), ("b-3", 180)] {
        open(&world, access, "bob", minutes(minutes_long));
    }
    open(&world, "w-1", "carl", minutes(60));
    world.bench.set_clock(-HOUR, 0);
    wait_untrusted(&world);
    held_back(&world, "later", "dora", "w-1");
    // Of several on one account the first to end makes the agent read the target's clock, the next renews by it.
    for access in ["b-3", "b-2"] {
        end(&world, access);
        world.wait_ended(access);
    }
    // The control plane does not help either.
    world.plane.leave();
    until(|| (world.logins().len() == 1).then_some(())).expect("the short one is shut");
    assert!(now() - begun < HOUR / 2, "by its own deadline, not an hour later");
    let expiries = native_expiries(&world);
    let latest = begun + 60 * MINUTE + GRACE + TOLERANCE + MINUTE;
    assert!(
        expiries.iter().all(|at| *at <= latest),
        "native expiry is extended: {expiries:?}, at most {latest}"
    );
    world.bench.set_clock(0, 0);
    world.plane.come_back();
    world.wait_ended("short");
    wait_ready(&world);
    world.wait("later", "active", |state| matches!(state, State::Active(_)));
}

#[test]
fn time_slept_counts_and_is_no_jump() {
    let mut world = World::start(&[]);
    open(&world, "due", "ann", minutes(30));
    open(&world, "kept", "bob", minutes(180));
    // The machine sleeps for an hour, and wakes up without a network.
    world.plane.leave();
    world.bench.set_clock(HOUR, HOUR);
    world.plane.set_clock(HOUR);
    until(|| (world.logins().len() == 1).then_some(())).expect("what was due meanwhile is shut");
    world.plane.come_back();
    world.wait_ended("due");
    wait_ready(&world);
    open(&world, "later", "carl", minutes(180));
    // Nobody needs to vouch for it: what is to be deleted is.
    let delete = v1::DeleteAccount { integration_id: INTEGRATION.into(), grantee_id: "bob".into() };
    let before = world.accounts().len();
    world.plane.order([Order::DeleteAccount(delete)]);
    world.wait_ended("kept");
    until(|| (world.accounts().len() == before - 1).then_some(())).expect("the account is deleted");
    assert_eq!(alarms(&world, "clock_untrusted"), 0);
}

#[test]
fn after_a_jump_nothing_is_deleted_until_a_second_clock_agrees() {
    let mut world = World::start(&[]);
    let put_integration = v1::PutIntegration {
        policy: Some(v1::Policy { credentials_cleanup_period_in_days: Some(0), ..Default::default() }),
        ..world.put_integration(8, &[])
    };
    world.plane.order([Order::PutIntegration(put_integration)]);
    world.wait_good(8);
    open(&world, "due", "ann", minutes(30));
    for (access, grantee) in [("w-1", "bob"), ("w-2", "carl")] {
        open(&world, access, grantee, minutes(6 * 60));
    }
    // Without a jump it is deleted at its close.
    end(&world, "w-1");
    world.wait_ended("w-1");
    until(|| (world.accounts().len() == 2).then_some(())).expect("deleted at its close");

    world.plane.leave();
    world.bench.set_clock(2 * HOUR, 0);
    until(|| (world.logins().len() == 1).then_some(())).expect("what is due is shut");
    // Something else is done meanwhile, from beginning to end.
    let closed =
        world.run(&["close", "--access", "w-2", "--yes", "--reason", "a drill", "--json"]).ended(0).json();
    assert_eq!(closed["left"]["accesses"], 0, "{closed}");
    assert!(world.logins().is_empty());
    assert_eq!(world.accounts().len(), 2, "shut, and not deleted while only one clock says so");
    let looked = world.run(&["journal", "show", "meta", "--json"]).ended(0).json();
    assert_eq!(looked[0]["body"]["clock"]["jumped"], Value::Bool(true), "{looked}");

    // The control plane's clock says the same: the jump was right.
    world.plane.set_clock(2 * HOUR);
    world.plane.come_back();
    until(|| world.accounts().is_empty().then_some(())).expect("deleted once another clock agrees");
    world.wait_ended("due");
}

#[test]
fn a_control_plane_whose_clock_is_off_stops_opening_and_not_closing() {
    let mut world = World::start(&[]);
    for (access, grantee) in [("w-1", "bob"), ("w-2", "carl")] {
        open(&world, access, grantee, minutes(60));
    }
    for (ahead, seen, witness, asked, by) in
        [(45, 45.0, "w-1", "later-1", "dora"), (-45, -45.0, "w-2", "later-2", "fay")]
    {
        world.plane.set_clock(ahead);
        wait_untrusted(&world);
        let skew = gauge(&mut world, "tidegate_clock_skew_seconds");
        assert!((skew - seen).abs() < 10.0, "{skew} for {ahead}");
        held_back(&world, asked, by, witness);
        world.plane.set_clock(0);
        wait_ready(&world);
        world.wait(asked, "active", |state| matches!(state, State::Active(_)));
    }
    assert_eq!(alarms(&world, "clock_untrusted"), 2);
    // As much as is normal is no reason.
    world.plane.set_clock(20);
    let normal = until(|| {
        let skew = gauge(&mut world, "tidegate_clock_skew_seconds");
        (skew > 10.0).then_some(())
    });
    normal.expect("it is heard");
    wait_ready(&world);
    open(&world, "last", "emil", minutes(60));
}

/// Begins anew with a journal that has never seen another time, while the agent's clock is off by so much.
fn begin_at(world: &mut World, ahead: i64) {
    world.agent = None;
    std::fs::remove_dir_all(world.bench.path("state/journal")).unwrap();
    world.bench.set_clock(ahead, 0);
    world.plane.set_clock(ahead);
    world.begin();
    wait_ready(world);
}

#[test]
fn native_expiry_is_set_by_the_targets_own_clock() {
    // Agent and control plane agree with each other, and the target is a day away: also for the first account there.
    for (name, ahead) in [("the target is behind", 24 * HOUR), ("the target is ahead", -24 * HOUR)] {
        let mut world = World::without_integration(&[]);
        begin_at(&mut world, ahead);
        world.plane.order([world.integration()]);
        world.wait_good(7);
        let (begun, lives) = (now(), 2 * 24 * HOUR);
        let long = Duration::from_secs(u64::try_from(ahead + lives).unwrap());
        world.put("a-1", "ann", "orders", long);
        world.wait("a-1", "active", |state| matches!(state, State::Active(_)));
        let expected = begun + lives + GRACE;
        let expiries = native_expiries(&world);
        let near = |at: &i64| (expected..=expected + 2 * MINUTE).contains(at);
        assert!(
            expiries.len() == 1 && expiries.iter().all(near),
            "{name}: {expiries:?}, expected {expected}"
        );
    }
}

/// Opens something, has the clock leap over its end, and stops the agent when it has ended.
fn run_ahead(world: &mut World, access: &str) {
    open(world, access, "ann", minutes(30));
    world.bench.set_clock(HOUR, 0);
    world.wait_ended(access);
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    // Put right again; but the journal remembers how far time had come.
    world.bench.set_clock(0, 0);
}

#[test]
fn a_clock_that_ran_ahead_comes_back_by_two_others_or_by_an_operator() {
    let mut world = World::start(&[]);
    run_ahead(&mut world, "due-1");
    world.begin();
    // Control plane and target are asked at the start, and agree.
    wait_ready(&world);
    assert!((effective(&world) - now()).abs() <= TOLERANCE);

    run_ahead(&mut world, "due-2");
    world.server.stop(Mode::Immediate).unwrap();
    world.begin();
    wait_untrusted(&world);
    assert!(effective(&world) > now() + HOUR / 2, "one other clock does not bring it down");
    world.put("later", "bob", "orders", minutes(6 * 60));
    world.wait("later", "accepted", |state| matches!(state, State::Accepted(_)));
    let refused = world.run(&["journal", "reset-clock", "--yes"]).ended(5);
    assert!(refused.err.contains("stop it first"), "{refused:?}");

    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    let asked = world.run(&["journal", "reset-clock", "--json"]).ended(0).json();
    assert_eq!((&asked["done"], &asked["jumped"]), (&Value::Bool(false), &Value::Bool(true)), "{asked}");
    world.run(&["journal", "reset-clock", "--yes"]).ended(0);
    world.begin();
    wait_ready(&world);
    assert!((effective(&world) - now()).abs() <= TOLERANCE);
    world.server.start().unwrap();
    world.wait("later", "active", |state| matches!(state, State::Active(_)));
    // Reset or not: what has ended never opens again.
    for access in ["due-1", "due-2"] {
        assert!(matches!(world.plane.state(access), Some(State::Ended(_))), "{access}");
    }
}

#[test]
fn the_year_2038_is_a_year_like_others() {
    /// 2038-01-19T03:14:07Z, the last second that fits into 32 bits.
    const LAST: i64 = 2_147_483_647;
    let mut world = World::start(&[]);
    let from_now = |at: i64| Duration::from_secs(u64::try_from(at - now()).unwrap());
    open(&world, "beyond", "ann", from_now(LAST + 365 * 24 * HOUR));
    open(&world, "across", "bob", from_now(LAST + 3));
    let expected = [LAST + 3 + GRACE, LAST + 365 * 24 * HOUR + GRACE];
    let close_to = |found: &[i64]| {
        found.len() == 2 && found.iter().zip(expected).all(|(found, at)| (found - at).abs() <= TOLERANCE)
    };
    let found = native_expiries(&world);
    assert!(close_to(&found), "{found:?}, expected {expected:?}");
    // Mark, journal, report and receipt say the same year.
    let shown = world.run(&["journal", "show", "account", "--json"]).ended(0).out;
    assert!(shown.contains("2039-01-19T03:14:0"), "{shown}");
    let exported = world.run(&["receipts", "export"]).ended(0).out;
    assert!(exported.contains("2039-01-19T03:14:0") && exported.contains("2038-01-19T03:14:1"), "{exported}");
    world.restart();
    wait_ready(&world);

    // Eleven years pass, and the last seconds of the old count with them.
    let years = LAST - 5 - now();
    world.bench.set_clock(years, years);
    world.plane.set_clock(years);
    world.wait_ended("across");
    assert_eq!(world.logins().len(), 1, "what ends in 2039 is there");
    wait_ready(&world);
    assert!(effective(&world) > LAST, "{}", effective(&world));
    // What is opened then is opened, too; its native expiry is by the target's clock, where it is not 2038 yet.
    let begun = now();
    open(&world, "later", "carl", from_now(LAST) + minutes(60));
    let expiries = native_expiries(&world);
    let soon = |at: &&i64| **at < begun + 3 * HOUR;
    assert_eq!(expiries.iter().filter(soon).count(), 1, "{expiries:?}");
    let overdue = from_now(LAST - HOUR);
    world.put("too-late", "dora", "orders", overdue);
    world.plane.until("an order whose time was over in 2038 is refused", || {
        let refused = |report: &Told| {
            matches!(report, Told::OrderRefused(told) if told.access_id == "too-late" && told.code == "too_late")
        };
        world.plane.reports().iter().any(refused).then_some(())
    });
    // A journal that is lost is made anew from the marks, whatever their years are.
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    std::fs::rename(world.bench.path("state/journal"), world.bench.path("state/lost")).unwrap();
    let secrets = format!("secrets.file_root={}", world.bench.path("secrets").display());
    let rebuilt = world.run(&["journal", "rebuild", "--dry-run", "--json", "--set", &secrets]).ended(0).out;
    assert!(rebuilt.contains("2039-01-19T03:14:0"), "{rebuilt}");
}
