//! Stopping in good order while much is under way: nothing is left behind that nobody remembers.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::v1::access_state::State;
use rustix::process::Signal;
use serde_json::Value;

use crate::plane::until;
use crate::world::{World, put};

const OPENINGS: usize = 32;
/// Longer than starting to open and stopping take, so that deadlines pass while no agent runs, or soon after.
const LONG: Duration = Duration::from_secs(15);
/// Nobody can make a role before somebody says so.
const LOCKED: &str = "begin; lock table pg_authid in exclusive mode;
    do $$ begin while not exists (select from public.let_go) loop perform pg_sleep(0.02); end loop; end $$; commit";
const IS_LOCKED: &str = "select count(*) from pg_locks
    where relation = 'pg_authid'::regclass and mode = 'ExclusiveLock' and granted";
const BLOCKED: &str = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'tidegate/%'";

/// The names of the accounts that the journal remembers.
fn remembered(world: &World) -> BTreeSet<String> {
    let rows = world.run(&["journal", "show", "account", "--json"]).ended(0).json();
    let name = |row: &Value| row["body"]["account"]["name"].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn operating_ends_in_good_order_with_32_openings_under_way_and_leaves_no_orphan() {
    let mut world = World::start(&[]);
    std::thread::scope(|scope| {
        // While the target makes everybody wait, openings pile up.
        let server = &world.server;
        let count = |query: &str| server.psql("postgres", query).unwrap().trim().parse::<u32>().unwrap();
        server.psql("postgres", "create table public.let_go ()").unwrap();
        let lock = scope.spawn(move || server.psql("postgres", LOCKED).unwrap());
        until(|| (count(IS_LOCKED) > 0).then_some(())).expect("the lock");
        world
            .plane
            .order((0..OPENINGS).map(|n| put(&format!("a-{n}"), &format!("person-{n}"), "orders", LONG)));
        until(|| (count(BLOCKED) >= 4).then_some(())).expect("openings under way");
        let agent = world.agent.as_mut().expect("an agent runs");
        agent.signal(Signal::TERM);
        agent.until("Stopping in good order");
        server.psql("postgres", "insert into public.let_go default values").unwrap();
        agent.until("Agent stopped");
        assert_eq!(agent.code(), 0);
        assert!(agent.said("was cut off").is_empty(), "{:?}", agent.said("was cut off"));
        lock.join().unwrap();
    });
    // Whatever was made is remembered, and nothing is made any more.
    let made: BTreeSet<_> = world.accounts().into_iter().collect();
    assert!(made.is_subset(&remembered(&world)), "{made:?}, {:?}", remembered(&world));
    assert!(made.len() < OPENINGS, "the stop came too late: {made:?}");

    // The control plane is away: what was opened is closed by its deadline all the same.
    world.plane.leave();
    world.begin();
    until(|| world.logins().is_empty().then_some(())).expect("everything is shut");
    let there: BTreeSet<_> = world.accounts().into_iter().collect();
    assert!(there.is_subset(&remembered(&world)), "{there:?}, {:?}", remembered(&world));
    world.plane.come_back();
    for n in 0..OPENINGS {
        world.wait(&format!("a-{n}"), "over", |state| matches!(state, State::Ended(_) | State::Failed(_)));
    }
    assert!(world.logins().is_empty(), "{:?}", world.logins());
}

#[test]
fn operating_a_second_process_on_the_journal_is_refused_and_disturbs_nothing() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    // Also when it would find the port taken.
    let taken = format!("admin.listen={}", world.agent().address());
    for listen in ["admin.listen=127.0.0.1:0", &taken] {
        let said = world.run(&["run", "--set", listen]).ended(5);
        assert!(
            said.err.contains("in use by another process: one connector runs one agent on one journal"),
            "{said:?}"
        );
    }
    assert!(
        world.bench.path("state/journal/admin/agent.sock").exists(),
        "the first one's socket is left alone"
    );
    world.run(&["status"]).ended(0);
    world.open("a-2", "bob", "orders");
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    // Accesses outlive the process.
    assert_eq!(world.logins().len(), 2);
}
