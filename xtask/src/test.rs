//! Runs the checks and tests, stage by stage, and says how each went.

mod choose;
mod stages;
mod tally;

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use services::install::{self, Need};

use crate::clock::Watch;
use crate::generate::Gen;
use crate::run::{Bench, Demo, Sim, Storm};
use crate::workspace::{Workspace, build_programs, call, cargo, words};
use crate::{floors, generate};
use choose::choose;
use stages::{STAGES, Stage, Step};

#[derive(Args)]
pub(crate) struct Choice {
    /// Also runs what takes long: many worlds, licences, long tests, the demo's story, every measurement once.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only these stages and suites.
    #[arg(long, value_delimiter = ',', conflicts_with = "all")]
    pub(crate) only: Vec<String>,
    /// Leaves stages out, and says that they are not proven.
    #[arg(long, value_delimiter = ',')]
    pub(crate) without: Vec<String>,
    /// Installs what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Runs the chosen stages; true when all passed.
pub(crate) fn command(choice: &Choice) -> anyhow::Result<bool> {
    let chosen = choose(STAGES, choice)?;
    for need in chosen.needs() {
        install::ensure(need, choice.yes)?;
    }
    let runner = Runner { workspace: Workspace::read()?, yes: choice.yes };
    let mut ended = vec![];
    for stage in &chosen.run {
        println!("── {}: {}", stage.name, stage.about);
        let watch = Watch::start();
        let passed = match runner.stage(stage) {
            Ok(passed) => passed,
            Err(fault) => {
                println!("{}: {fault:#}", stage.name);
                false
            }
        };
        ended.push((stage.name, passed, watch.elapsed()));
    }
    println!("──");
    for (name, passed, took) in &ended {
        println!(
            "{:<10} {:<6} {:>7.1} s",
            name,
            if *passed { "passed" } else { "FAILED" },
            took.as_secs_f64()
        );
    }
    for name in &chosen.left_out {
        println!("not proven: {name}");
    }
    let good = ended.iter().filter(|(_, passed, _)| *passed).count();
    println!("{good} passed, {} failed", ended.len() - good);
    Ok(good == ended.len())
}

struct Runner {
    workspace: Workspace,
    yes: bool,
}

impl Runner {
    fn stage(&self, stage: &Stage) -> anyhow::Result<bool> {
        for step in stage.steps {
            if !self.step(step)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn step(&self, step: &Step) -> anyhow::Result<bool> {
        match step {
            Step::Cargo(words) => call(self.here(&mut cargo()).args(*words)).map(|()| true),
            Step::Tests(words) => self.tests(words),
            Step::Programs => build_programs().map(|()| true),
            Step::Floors => floors::command(),
            Step::Generated => generate::command(&Gen { check: true }),
            Step::Wire => self.wire().map(|()| true),
            Step::Docs => {
                let mut docs = cargo();
                docs.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
                call(self.here(&mut docs)).map(|()| true)
            }
            Step::Licences => {
                let mut deny = Command::new(install::ensure(Need::CargoDeny, self.yes)?);
                deny.args(["--workspace", "--locked", "check", "licenses", "bans", "sources"])
                    .stdin(Stdio::null());
                call(self.here(&mut deny)).map(|()| true)
            }
            Step::FreshWorlds(seeds) => {
                let sim = Sim {
                    seeds: *seeds,
                    from: crate::clock::fresh_seed(),
                    fault: None,
                    lines: None,
                    keep_going: false,
                };
                println!("the same worlds again: cargo xtask sim --from {} --seeds {seeds}", sim.from);
                call(self.here(&mut sim.cargo())).map(|()| true)
            }
            Step::Story => {
                let demo = Demo { once: true, json: false, yes: self.yes };
                call(demo.prepare()?.stdin(Stdio::null())).map(|()| true)
            }
            Step::Measurements => {
                let bench = Bench { json: true, smoke: true, only: None, yes: self.yes };
                call(bench.prepare()?.stdin(Stdio::null()))?;
                let storm = Storm {
                    json: true,
                    smoke: true,
                    accesses: None,
                    targets: None,
                    real: None,
                    yes: self.yes,
                };
                call(storm.prepare()?.stdin(Stdio::null())).map(|()| true)
            }
        }
    }

    /// Runs tests and counts them: a choice that matches no test has proven nothing.
    fn tests(&self, given: &[&str]) -> anyhow::Result<bool> {
        let mut command = cargo();
        self.here(&mut command).arg("test").args(given).stdout(Stdio::piped());
        // Words that make a test play a part only, or write what it should compare with.
        for word in ["CONTRACT", "POSTGRES_BIN", "GOLDEN"] {
            command.env_remove(word);
        }
        let words = words(&command);
        let mut child = command.spawn().with_context(|| format!("start `{words}`"))?;
        let Some(out) = child.stdout.take() else { bail!("`{words}` has no output") };
        let tally = tally::pass_on(out, std::io::stdout())?;
        let status = child.wait().with_context(|| format!("wait for `{words}`"))?;
        if !status.success() {
            bail!("`{words}` failed: {} tests passed, {} failed", tally.passed, tally.failed);
        }
        if tally.passed == 0 {
            bail!("`{words}` ran no test: name the tests so that this choice finds them");
        }
        println!("{} tests passed", tally.passed);
        Ok(true)
    }

    /// Lints the wire, and checks that it can still be read by everybody who has a released one.
    fn wire(&self) -> anyhow::Result<()> {
        let buf = install::ensure(Need::Buf, self.yes)?;
        let run = |words: &[&str]| call(self.here(Command::new(&buf).args(words).stdin(Stdio::null())));
        run(&["lint", "proto"])?;
        for release in released(&self.workspace)? {
            run(&["breaking", "proto", "--against", &release])?;
        }
        Ok(())
    }

    fn here<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(&self.workspace.root)
    }
}

/// The kept descriptors of releases.
fn released(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    const KEPT: &str = "proto/descriptor";
    let mut found = vec![];
    for entry in
        std::fs::read_dir(workspace.root.join(KEPT)).with_context(|| format!("read the folder {KEPT}"))?
    {
        let name = entry.with_context(|| format!("read the folder {KEPT}"))?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('v') && name.ends_with(".binpb") {
            found.push(format!("{KEPT}/{name}"));
        }
    }
    found.sort();
    Ok(found)
}
