//! Commands that hand over to a program of the workspace: `sim`, `demo`, `bench`, `storm`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use services::install::{self, Need};

use crate::workspace::{Workspace, build_programs, call, cargo, words};

/// What a private PostgreSQL with its client takes.
const POSTGRES: [Need; 3] = [Need::Postgres15, Need::Psql, Need::Openssl];

#[derive(Args)]
pub(crate) struct Sim {
    /// How many worlds.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
    /// A fault to plant in the rules, by name: the worlds must catch it.
    #[arg(long)]
    pub(crate) fault: Option<String>,
    /// How many lines of a failing story to print, its last ones.
    #[arg(long)]
    pub(crate) lines: Option<usize>,
    /// Go on after a broken promise, and list every seed that broke one at the end.
    #[arg(long, conflicts_with = "fault")]
    pub(crate) keep_going: bool,
}

impl Sim {
    /// The call of cargo. The package has an optimised development profile of its own.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command
            .args(["run", "--quiet", "--package", "simulation", "--", "--seeds"])
            .arg(self.seeds.to_string());
        command.arg("--from").arg(self.from.to_string());
        if let Some(fault) = &self.fault {
            command.arg("--fault").arg(fault);
        }
        if let Some(lines) = self.lines {
            command.arg("--lines").arg(lines.to_string());
        }
        if self.keep_going {
            command.arg("--keep-going");
        }
        command
    }

    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        become_it(&mut self.cargo())
    }
}

/// Whose readers are hammered.
const HAMMERED: [&str; 7] =
    ["seal", "secrets", "guardrails", "simulation", "driver-postgres", "control", "tidegate"];

#[derive(Args)]
pub(crate) struct Fuzz {
    /// How long each reader is hammered.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where to begin; a fresh place when it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Only readers whose test has this in its name.
    #[arg(long, default_value = "fuzz_")]
    only: String,
}

impl Fuzz {
    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        let seed = self.seed.unwrap_or_else(crate::clock::fresh_seed);
        println!("fuzz: seed {seed}, {} seconds a reader", self.seconds);
        let mut command = cargo();
        command.args(["test", "--quiet", "--no-fail-fast"]);
        for package in HAMMERED {
            command.args(["--package", package]);
        }
        command.arg(&self.only).args(["--", "--nocapture"]);
        command.env("FUZZ_SECONDS", self.seconds.to_string()).env("FUZZ_SEED", seed.to_string());
        become_it(&mut command)
    }
}

#[derive(Args)]
pub(crate) struct Demo {
    /// Runs the story unattended; ends with 0 only if every step was seen.
    #[arg(long)]
    pub(crate) once: bool,
    /// Tells it for machines.
    #[arg(long)]
    pub(crate) json: bool,
    /// Installs what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Demo {
    pub(crate) fn prepare(&self) -> anyhow::Result<Command> {
        for need in POSTGRES {
            install::ensure(need, self.yes)?;
        }
        build_programs()?;
        let mut command = Command::new(Workspace::read()?.program("debug", "demo"));
        command.args(self.once.then_some("--once")).args(self.json.then_some("--json"));
        Ok(command)
    }

    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        become_it(&mut self.prepare()?)
    }
}

#[derive(Args)]
pub(crate) struct Bench {
    /// One object a line, for machines.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only shows that every measurement runs; the figures mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Measures one party alone, for a look at its profile: bare, openbao or tidegate.
    #[arg(long, value_name = "WHO", value_parser = ["bare", "openbao", "tidegate"])]
    pub(crate) only: Option<String>,
    /// Installs what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Bench {
    pub(crate) fn prepare(&self) -> anyhow::Result<Command> {
        for need in POSTGRES.into_iter().chain([Need::OpenBao]) {
            install::ensure(need, self.yes)?;
        }
        let profile = if self.smoke {
            build_programs()?;
            "debug"
        } else {
            // The product as its users build it, then what measures it.
            let product = ["--package", "tidegate", "--package", "control", "--package", "ctl", "--bins"];
            call(cargo().args(["build", "--quiet", "--release"]).args(product))?;
            call(cargo().args(["build", "--quiet", "--release", "--package", "e2e", "--bin", "bench"]))?;
            "release"
        };
        let mut command = Command::new(Workspace::read()?.program(profile, "bench"));
        command.args(self.json.then_some("--json")).args(self.smoke.then_some("--smoke"));
        if let Some(who) = &self.only {
            command.arg("--only").arg(who);
        }
        Ok(command)
    }

    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        become_it(&mut self.prepare()?)
    }
}

#[derive(Args)]
pub(crate) struct Storm {
    /// One object a line, for machines.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only shows that every measurement runs; the figures mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// How many accesses, in place of one storm each of 1,000, 10,000 and 100,000.
    #[arg(long, value_name = "COUNT")]
    pub(crate) accesses: Option<u32>,
    /// On how many targets, in place of 200.
    #[arg(long, value_name = "COUNT")]
    pub(crate) targets: Option<u32>,
    /// How many more on one real PostgreSQL, in place of one for each hundred.
    #[arg(long, value_name = "COUNT")]
    pub(crate) real: Option<u32>,
    /// Installs what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Storm {
    pub(crate) fn prepare(&self) -> anyhow::Result<Command> {
        for need in POSTGRES {
            install::ensure(need, self.yes)?;
        }
        let profile = if self.smoke {
            build_programs()?;
            "debug"
        } else {
            call(cargo().args(["build", "--quiet", "--release", "--package", "storm", "--bins"]))?;
            "release"
        };
        let mut command = Command::new(Workspace::read()?.program(profile, "storm"));
        command.args(self.json.then_some("--json")).args(self.smoke.then_some("--smoke"));
        let counts = [("--accesses", self.accesses), ("--targets", self.targets), ("--real", self.real)];
        for (name, count) in counts {
            if let Some(count) = count {
                command.arg(name).arg(count.to_string());
            }
        }
        Ok(command)
    }

    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        become_it(&mut self.prepare()?)
    }
}

/// Turns this process into the command, so that Ctrl-C and the exit code are its own.
fn become_it(command: &mut Command) -> anyhow::Result<bool> {
    let words = words(command);
    Err(command.exec()).with_context(|| format!("start `{words}`"))
}
