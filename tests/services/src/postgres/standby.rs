//! A standby: a copy of a running server that follows it until it is promoted.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;

use super::{Options, Postgres, make, pass_file, settings};
use crate::clock::wait_until;
use crate::folder::{Folder, set_mode};
use crate::tls::Identity;

const CAUGHT_UP: Duration = Duration::from_secs(60);

impl Postgres {
    /// Makes a standby of this server, on a port of its own, with the same administrator and certificate; returns when
    /// it answers. Its programs are this server's.
    pub fn standby(&self, options: &Options) -> anyhow::Result<Self> {
        let folder = Folder::fresh("pg", self.run_as)?;
        folder.write_private("passfile", &pass_file(&self.password))?;
        let args = vec![
            "-D".into(),
            folder.path().join("data").into(),
            "-d".into(),
            format!("{} passfile='{}'", self.conninfo(), folder.path().join("passfile").display()).into(),
            "--write-recovery-conf".into(),
            "--wal-method=stream".into(),
            "--checkpoint=fast".into(),
            "--no-sync".into(),
        ];
        make(&self.bin_dir.join("pg_basebackup"), args, self.run_as, &folder)?;
        let copy = |from: &std::path::Path, name: &str, mode: u32| {
            let text = fs::read_to_string(from).with_context(|| format!("read {}", from.display()))?;
            let path = folder.write_private(name, &text)?;
            set_mode(&path, mode)?;
            self.run_as.own(&path)?;
            Ok::<_, anyhow::Error>(path)
        };
        let tls = Identity {
            authority: copy(&self.tls.authority, "ca.pem", 0o644)?,
            certificate: copy(&self.tls.certificate, "server.pem", 0o644)?,
            key: copy(&self.tls.key, "server.key", 0o600)?,
        };
        settings::write(&folder, self.speaks_tls.then_some(&tls), options)?;
        let standby = Self {
            bin_dir: self.bin_dir.clone(),
            run_as: self.run_as,
            port: 0,
            password: self.password.clone(),
            tls,
            speaks_tls: self.speaks_tls,
            keeper: Mutex::new(None),
            folder,
        };
        standby.on_a_free_port()
    }

    /// Waits until this standby has all that its primary has written so far.
    pub fn catch_up(&self, primary: &Self) -> anyhow::Result<()> {
        // A server without fsync answers a COMMIT before its record is out; one that waits pushes all before it out.
        primary
            .psql("postgres", "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', '')")?;
        let written = primary.psql("postgres", "SELECT pg_current_wal_flush_lsn()")?;
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn", written.trim());
        wait_until("the standby has caught up", CAUGHT_UP, || {
            Ok((self.psql("postgres", &reached)?.trim() == "t").then_some(()))
        })
    }

    /// Makes this standby a primary; returns when it takes writes.
    pub fn promote(&self) -> anyhow::Result<()> {
        self.psql("postgres", "SELECT 1 / pg_promote(true, 60)::int").map(drop).context("promote a standby")
    }
}
