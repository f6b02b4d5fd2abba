//! A folder of its own for each test, the binary to run in it, and secrets that must never be printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The connector's token, which nothing may ever print.
pub(crate) const TOKEN: &str = "tgc_hunter2-token";
/// A target's password, which nothing may ever print.
pub(crate) const PASSWORD: &str = "hunter2-password";

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// Insists on an exit code.
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let said = Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in [TOKEN, PASSWORD] {
            assert!(
                !said.out.contains(secret) && !said.err.contains(secret),
                "a secret was printed: {said:?}"
            );
        }
        said
    }
}

/// An agent's folder.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder in which `init` was run and a token lies.
    pub(crate) fn ready() -> Self {
        let bench = Self::empty();
        bench.init("trial").ended(0);
        bench.write("token", TOKEN);
        bench
    }

    pub(crate) fn init(&self, connector: &str) -> Said {
        let url = ["--url", "http://127.0.0.1:9"];
        let plain = ["--set", "control_plane.allow_plain_http=true", "--set", "admin.listen=127.0.0.1:0"];
        let args = ["init", "--connector", connector, "--state", "state"];
        self.run(&[&args[..], &url, &plain].concat())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        self.mode(name, 0o600);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Gives the folder and everything in it to a user.
    #[cfg(target_os = "linux")]
    pub(crate) fn give_to(&self, user: u32) {
        let chown = |path: &Path| std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        chown(self.dir.path());
        for folder in ["state", "state/identity"] {
            chown(&self.path(folder));
        }
        files(self.dir.path()).iter().for_each(|file| chown(file));
    }

    /// Returns the binary with this folder's configuration and none of the caller's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.current_dir(self.dir.path()).env_clear().env("TIDEGATE_CONFIG", self.file()).args(args);
        command.env("CLOCK_TIDEGATE_FILE", self.path("clock"));
        command
    }

    /// Puts forward what its binary takes for the wall clock and for the time since boot, by whole seconds, now and
    /// from now on: also of what runs already.
    pub(crate) fn set_clock(&self, wall: i64, since_boot: i64) {
        let fresh = self.path("clock.fresh");
        std::fs::write(&fresh, format!("{} {}\n", wall * 1_000, since_boot * 1_000)).unwrap();
        std::fs::rename(fresh, self.path("clock")).unwrap();
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("tidegate.toml")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    pub(crate) fn run_in(&self, environment: &[(&str, &str)], args: &[&str]) -> Said {
        self.command(args).envs(environment.iter().copied()).output().unwrap().into()
    }
}

/// Returns every file below a folder, so that a test can say that nothing was made.
pub(crate) fn files(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(below) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
