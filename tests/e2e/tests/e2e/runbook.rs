//! The runbook, played: each section of `docs/runbook.md` on a world of its own, with the commands as they stand there.
//!
//! A section without a play fails, and so does a command that the play of its section did not type. What a play cannot
//! bring about on one machine (a disk that is full, a wrong clock) it says; other tests do it without the page.

mod ending;
mod hardship;
mod hostile;
mod losing;
mod page;
mod play;
mod restoring;

use std::time::Duration;

use e2e::world::{Options, World};

use crate::unwrapped;
use play::Play;

const SOON: Duration = Duration::from_secs(60);
/// A close that failed for a while is tried at most a minute apart.
const AFTER_A_PAUSE: Duration = Duration::from_secs(150);
/// Guardrails that forbid nothing.
const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

/// Makes a test of each section, and the list of all.
macro_rules! sections {
    ($($name:ident: $title:literal, $options:expr, $play:path;)*) => {
        /// The headings of what is played, in the page's order.
        const PLAYED: &[&str] = &[$($title),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                played($title, &$options, $play).await;
            }
        )*
    };
}

fn usual() -> Options {
    Options { approval: "auto", ..Options::default() }
}

sections! {
    a_journal_is_put_back: "A journal is put back from a backup", usual(), restoring::journal;
    the_control_plane_is_put_back: "The control plane is put back from a backup", usual(), restoring::control_plane;
    a_target_is_put_back: "A target is put back from a backup", usual(), restoring::target;
    a_target_is_replaced: "A target is replaced", usual(), restoring::replaced;
    an_agent_is_drained_and_moved: "Drain, stop, move", usual(), ending::drained;
    a_close_is_stuck: "A close is stuck", usual(), ending::stuck;
    the_journal_is_lost: "The journal is lost", usual(), losing::journal;
    the_identity_is_lost: "The identity is lost", usual(), losing::identity;
    secrets_are_rotated: "Rotate tokens, passwords and keys", usual(), losing::rotated;
    the_control_plane_is_taken_over: "The control plane is taken over", usual(), hostile::control_plane;
    a_machine_is_taken_over: "An agent's machine is taken over", usual(), hostile::machine;
    the_glass_is_broken: "Break the glass while the control plane is away", usual(), ending::glass;
    the_guardrails_are_broken: "The guardrails are broken",
        Options { guardrails: Some(ALL), ..usual() }, hardship::guardrails;
    the_disk_is_full: "The journal's disk is full", usual(), hardship::disk;
    a_clock_is_off: "A clock is off", usual(), hardship::clocks;
    another_one_takes_over: "Standbys", Options { shared: true, ..usual() }, hardship::standbys;
}

async fn played(title: &str, options: &Options, play: impl AsyncFnOnce(&mut Play) -> anyhow::Result<()>) {
    let section = unwrapped(page::section(title));
    let world = unwrapped(World::start(options).await);
    let mut stage = unwrapped(Play::begin(world, section));
    let ended = match play(&mut stage).await {
        Ok(()) => stage.typed_all(),
        Err(fault) => Err(fault),
    };
    unwrapped(ended.map_err(|fault| stage.world.explained(fault)));
}

#[test]
fn every_section_of_the_page_has_its_play() {
    let found: Vec<_> = unwrapped(page::sections()).into_iter().map(|section| section.title).collect();
    assert_eq!(found, PLAYED);
}
