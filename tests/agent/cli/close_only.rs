//! Faults that leave only closing: a journal of a newer build, a volume that is full. Closing goes on, nothing opens, who
//! asks is told why, and it comes back by itself where that can be. A journal that refuses is in `glass`, one whose
//! database is away in the end-to-end tests of `standby`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use rustix::process::Signal;
use services::install::{self, Need};

use crate::plane::until;
use crate::world::{World, put};

fn end(world: &World, access: &str) {
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: access.into() })]);
}

fn gauge(world: &mut World, name: &str) -> String {
    let text = world.agent().get("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not measured: {text}")).to_owned()
}

/// Waits until it is not ready and says that it only closes, and gives the reason.
fn wait_close_only(world: &World) -> String {
    let told = until(|| {
        let told = world.health(&["--json"]).json();
        let journal = told["journal"]["state"] == "bad" && told["mode"] == "close_only";
        (told["ready"] == false && journal).then(|| told["reason"].as_str().unwrap().to_owned())
    });
    let reason = told.expect("it says that it only closes");
    world.health(&["--closing"]).ended(0);
    reason
}

fn stop(world: &mut World) {
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
}

/// Says in the journal's file which build may use it, as a newer build would.
fn set_format(journal: &Path, version: u32) {
    let said = format!(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
         c.execute('UPDATE format SET version = {version}, min_reader = {version}'); c.commit(); c.close()"
    );
    let mut python = Command::new(install::here(Need::Python).unwrap());
    assert!(python.args(["-I", "-c", &said]).arg(journal).status().unwrap().success());
}

#[test]
fn a_journal_of_a_newer_build_is_read_and_what_it_knows_is_closed() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    world.put("b-1", "bob", "orders", Duration::from_secs(20));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    stop(&mut world);
    let journal = world.bench.path("state/journal/journal.db");
    set_format(&journal, 9);
    let before = std::fs::read(&journal).unwrap();

    world.begin();
    let reason = wait_close_only(&world);
    assert!(reason.starts_with("close_only: ") && reason.contains("run the newer build"), "{reason}");
    assert_eq!(world.agent().said("A newer build wrote the journal").len(), 1);
    assert_eq!(
        (gauge(&mut world, "tidegate_journal_up"), gauge(&mut world, "tidegate_can_open")),
        ("0".into(), "0".into())
    );
    // A deadline and an order to end: both are done on the target, and nobody says that they were recorded.
    world.plane.order([put("c-1", "carl", "orders", Duration::from_secs(3_600))]);
    end(&world, "a-1");
    until(|| world.logins().is_empty().then_some(())).expect("everything is shut");
    wait_close_only(&world);
    assert!(!matches!(world.plane.state("a-1"), Some(State::Ended(_))), "told as ended, and not recorded");
    stop(&mut world);
    assert_eq!(std::fs::read(&journal).unwrap(), before, "what a newer build wrote was written to");

    // The newer build runs: it closes once more, records it, and opens what was ordered meanwhile.
    set_format(&journal, 1);
    world.begin();
    for access in ["a-1", "b-1"] {
        world.wait_ended(access);
    }
    world.wait("c-1", "active", |state| matches!(state, State::Active(_)));
    assert_eq!(world.logins().len(), 1);
    until(|| (world.health(&[]).code == 0).then_some(())).expect("it is ready");
}

/// A small volume, gone with the value.
struct SmallVolume(tempfile::TempDir);

impl SmallVolume {
    fn mounted(size: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let settings = format!("size={size},mode=0700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &settings, "tmpfs"]).arg(base.path()).status();
        assert!(mount.unwrap().success(), "cannot mount: run it as root");
        Self(base)
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("ballast")).unwrap();
        for size in [64 * 1024, 4096, 512] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        // Lazily, because a failed test may still hold files open.
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[test]
#[ignore = "long: mounts a small tmpfs, which needs root"]
fn a_full_disk_leaves_closing_and_the_room_that_was_kept_for_it() {
    let volume = SmallVolume::mounted("16m");
    let dir = format!("journal.dir={}", volume.0.path().join("journal").display());
    let mut world = World::start(&[&dir, "journal.reserve_mib=4"]);
    for (access, grantee) in [("a-1", "ann"), ("b-1", "bob")] {
        world.open(access, grantee, "orders");
    }
    volume.fill();
    // Orders that come to nothing take room, too: until there is none.
    let mut sent = 0;
    let reason = until(|| {
        let told = world.health(&["--json"]).json();
        if told["journal"]["state"] == "bad" {
            return Some(told["reason"].as_str().unwrap().to_owned());
        }
        world.plane.order((sent..sent + 50).map(|n| {
            let mut order = put(&format!("nothing-{n}"), "dora", "orders", Duration::from_secs(60));
            if let Order::PutAccess(put) = &mut order {
                put.integration_id = format!("unknown-{}", "x".repeat(80));
            }
            order
        }));
        sent += 50;
        None
    });
    let reason = reason.expect("the volume is full");
    assert!(reason.contains("no room"), "{reason}");
    assert!(!world.agent().said("The journal cannot be written: only closing goes on").is_empty());
    assert!(!world.agent().said("Journal gave up its reserve").is_empty());

    // Closing is done, recorded and told; an opening waits.
    world.plane.order([put("c-1", "carl", "orders", Duration::from_secs(3_600))]);
    end(&world, "a-1");
    world.wait_ended("a-1");
    assert_eq!(world.logins().len(), 1, "nothing opens meanwhile");
    wait_close_only(&world);
    assert_eq!(gauge(&mut world, "tidegate_can_open"), "0");

    // It goes on by itself when there is room, and keeps some back again.
    volume.empty();
    until(|| (world.health(&[]).code == 0).then_some(())).expect("it is ready again");
    world.wait("c-1", "active", |state| matches!(state, State::Active(_)));
    let reserve = std::fs::metadata(volume.0.path().join("journal/journal.reserve")).unwrap().len();
    assert_eq!(reserve, 4 * 1024 * 1024);
    end(&world, "b-1");
    world.wait_ended("b-1");
}
