//! One person at one machine: a folder, a server, and the real binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::samples;
use crate::server::Server;

pub(crate) const TOKEN: &str = "tgu_s3cr3t-token-of-ann";

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Expects success and returns what was printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Expects success and reads what was printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Expects this exit code and these words on the error output, and nothing on the other one.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
        self.err
    }
}

impl World {
    /// A machine on which nobody has logged in.
    pub(crate) fn fresh() -> Self {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let world = Self { server, folder };
        world.write("ca.pem", &world.server.ca_pem);
        world.write("token", &format!("{TOKEN}\n"));
        world
    }

    /// A machine on which ann has logged in.
    pub(crate) fn logged_in() -> Self {
        let world = Self::fresh();
        world.server.json("GET", "/session", samples::session(samples::ANN, "ann@example.com"));
        world.server.refuse("GET", "/me/key", 404, "not_found", "there is no key yet");
        world.server.json("PUT", "/me/key", samples::key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        world.login(&[]).ok();
        world.server.seen();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.path("config").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Puts a program in the way of psql.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegatectl"));
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TIDEGATECTL_CONFIG", self.path("config"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.finish(self.command().args(args))
    }

    pub(crate) fn finish(&self, command: &mut Command) -> Ended {
        let ended = Ended::of(&command.output().unwrap());
        assert_eq!(self.server.faults(), Vec::<String>::new(), "{ended:?}");
        ended
    }

    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Ended {
        let file = self.write("stdin", input);
        self.finish(self.command().args(args).stdin(fs::File::open(file).unwrap()))
    }

    /// Runs the command at a terminal and returns what the terminal got.
    pub(crate) fn at_terminal(&self, args: &[&str], no_color: bool) -> Ended {
        let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
        let line = format!("{} {}", env!("CARGO_BIN_EXE_tidegatectl"), quoted.join(" "));
        let plain = self.command();
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).env_clear();
        command.envs(plain.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
        command.env("TERM", "xterm").current_dir(self.folder.path()).stdin(Stdio::null());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let mut ended = self.finish(&mut command);
        ended.out = ended.out.replace("\r\n", "\n");
        ended
    }

    pub(crate) fn login(&self, more: &[&str]) -> Ended {
        let (url, ca, token) = (self.server.url(), self.path("ca.pem"), self.path("token"));
        let (ca, token) = (ca.display().to_string(), token.display().to_string());
        let mut args = vec!["login", "--server", &url, "--ca", &ca, "--token-file", &token];
        args.extend(more);
        self.run(&args)
    }

    /// Returns the public key that the last login registered.
    pub(crate) fn public_key(&self) -> model::GranteeKey {
        let text = fs::read_to_string(self.config("ctl-key")).unwrap();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.trim()).unwrap();
        seal::keys::SealingKey::from_bytes(&bytes).unwrap().public().to_grantee_key()
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn page(items: &[Value]) -> Value {
    json!({ "items": items })
}
