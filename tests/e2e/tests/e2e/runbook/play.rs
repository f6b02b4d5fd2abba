//! A section on its world: types the section's commands where they belong, and knows which were typed.
//!
//! The programs are those of the build, `tidegatectl` is the admin's, `psql` a superuser's of the target. The variables
//! of the page are set to what they mean in this world.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::agent::Agent;
use e2e::command::{self, Finished};
use e2e::programs::Programs;
use e2e::world::{Access, CONNECTOR, Credential, INTEGRATION, Standing, World, journals};
use e2e::{clock, random, shop};
use model::Secret;
use tokio::process::Command;

use super::page::{self, Section};
use super::{AFTER_A_PAUSE, SOON};

const A_COMMAND: Duration = Duration::from_secs(120);
/// The file of the admin's secret.
pub(super) const SECRET: &str = "shop.json";

/// A section that is being played.
pub(super) struct Play {
    pub(super) world: World,
    section: Section,
    typed: BTreeSet<String>,
    variables: BTreeMap<&'static str, String>,
    programs: Programs,
    /// `tidegate` is typed beside the second instance.
    pub(super) beside_standby: bool,
    /// `psql` goes to the server of the shared journal.
    pub(super) at_the_journals: bool,
}

impl Play {
    /// Sets what every section may use.
    pub(super) fn begin(world: World, section: Section) -> anyhow::Result<Self> {
        let folder = world.folder().path().to_owned();
        let backup = folder.join("backup");
        DirBuilder::new().mode(0o700).create(&backup).context("make a folder for copies")?;
        let agent = world.agent.folder();
        let text = |path: PathBuf| path.display().to_string();
        let variables = BTreeMap::from([
            ("CONNECTOR", CONNECTOR.to_owned()),
            ("INTEGRATION", INTEGRATION.to_owned()),
            ("JOURNAL", text(world.agent.journal())),
            ("STATE", text(agent.to_owned())),
            ("TOKEN", text(agent.join("token"))),
            ("NEW_TOKEN", text(folder.join("new.token"))),
            ("URL", format!("https://localhost:{}", world.plane.agents().port())),
            ("DATA", text(world.plane.data())),
            ("BACKUP", text(backup)),
            ("SECRET", format!("file://{SECRET}")),
            ("SECRET_FILE", text(agent.join("secrets").join(SECRET))),
            ("HOST", "localhost".to_owned()),
            ("PORT", world.target.port().to_string()),
            ("GUARDRAILS", text(folder.join("guardrails.cedar"))),
            ("PERSON", world.approver.email.clone()),
            ("JOURNAL_DATABASE", "tidegate".to_owned()),
            ("JOURNAL_ROLE", journals::ROLE.to_owned()),
        ]);
        Ok(Self {
            world,
            section,
            typed: BTreeSet::new(),
            variables,
            programs: Programs::find()?,
            beside_standby: false,
            at_the_journals: false,
        })
    }

    /// Sets a variable of the page.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.insert(name, value.into());
    }

    /// What a variable of the page is set to.
    pub(super) fn variable(&self, name: &str) -> anyhow::Result<&str> {
        self.variables.get(name).map(String::as_str).with_context(|| format!("nobody has set ${name}"))
    }

    /// Types the command of the section that is this, or the only one that has this in it.
    pub(super) async fn types(&mut self, part: &str) -> anyhow::Result<Finished> {
        let wanted = self.find(part)?;
        let words = page::words(&wanted, &self.variables)?;
        let command = self.command(&words).with_context(|| format!("type `{wanted}`"))?;
        self.typed.insert(wanted);
        command::run(command, "", A_COMMAND).await
    }

    /// Types commands one after the other; each has to succeed.
    pub(super) async fn types_all(&mut self, parts: &[&str]) -> anyhow::Result<()> {
        for part in parts {
            self.types(part).await?.ok()?;
        }
        Ok(())
    }

    /// Types a command that has to end with this code, and gives all that it said.
    pub(super) async fn types_ending(&mut self, part: &str, code: i32) -> anyhow::Result<String> {
        let ended = self.types(part).await?;
        ensure!(ended.status.code() == Some(code), "not with {code}: {ended:?}");
        Ok(ended.out + &ended.err)
    }

    /// Types a command again and again until it says something.
    pub(super) async fn types_until(&mut self, part: &str, says: &str) -> anyhow::Result<String> {
        let mut last = String::new();
        let seen = clock::until(&format!("`{part}` says {says:?}"), SOON, async || {
            last = self.types(part).await?.ok()?;
            Ok(last.contains(says).then(|| last.clone()))
        })
        .await;
        seen.with_context(|| format!("it said last:\n{last}"))
    }

    /// Fails when a command of the section was not typed.
    pub(super) fn typed_all(&self) -> anyhow::Result<()> {
        let left: Vec<_> =
            self.section.commands.iter().filter(|command| !self.typed.contains(*command)).collect();
        ensure!(left.is_empty(), "nobody typed these commands of `{}`: {left:#?}", self.section.title);
        Ok(())
    }

    fn find(&self, part: &str) -> anyhow::Result<String> {
        let commands: BTreeSet<_> = self.section.commands.iter().collect();
        let exactly = commands.iter().find(|command| command.as_str() == part);
        let mut having = commands.iter().filter(|command| command.contains(part));
        match (exactly, having.next(), having.next()) {
            (Some(found), _, _) | (None, Some(found), None) => Ok((*found).clone()),
            (None, None, _) => bail!("`{}` has no command with `{part}`", self.section.title),
            (None, Some(one), Some(other)) => bail!("`{part}` may be `{one}` or `{other}`"),
        }
    }

    fn command(&self, words: &[String]) -> anyhow::Result<Command> {
        let (program, args) = words.split_first().context("it has no word")?;
        Ok(match program.as_str() {
            "tidegate" => self.beside_the_agent(args)?,
            "tidegatectl" => self.world.admin.command(args),
            "tidegate-control" => {
                let mut command = Command::new(&self.programs.control);
                command.args(args).env_clear();
                command
            }
            "psql" => self.psql(args)?,
            "cp" | "mkdir" | "mv" => {
                let mut command = Command::new(program);
                command.args(args);
                command
            }
            other => bail!("the page may not use `{other}`"),
        })
    }

    fn beside_the_agent(&self, args: &[String]) -> anyhow::Result<Command> {
        let agent: &Agent = match self.beside_standby {
            true => self.world.standby.as_ref().context("a second instance")?,
            false => &self.world.agent,
        };
        let mut command = Command::new(&self.programs.agent);
        command.args(args).env_clear();
        if !args.iter().any(|arg| arg == "--config") {
            command.arg("--config").arg(agent.config());
        }
        if args.first().is_some_and(|arg| arg == "health") {
            // Agents of these worlds take any free port, which no configuration names.
            command.arg("--address").arg(agent.admin().to_string());
        }
        Ok(command)
    }

    fn psql(&self, args: &[String]) -> anyhow::Result<Command> {
        let server = match self.at_the_journals {
            true => self.world.journals.as_ref().context("a shared journal")?,
            false => &self.world.target,
        };
        let mut psql = Command::new(&self.programs.psql);
        psql.args(args).env_clear();
        psql.env("PGHOST", server.host()).env("PGPORT", server.port().to_string());
        psql.env("PGUSER", server.superuser()).env("PGPASSFILE", server.pass_file());
        psql.env("PGSSLMODE", if server.speaks_tls() { "verify-full" } else { "disable" });
        psql.env("PGSSLROOTCERT", server.ca_file()).env("PGCONNECT_TIMEOUT", "20");
        Ok(psql)
    }

    /// Opens an access, which the page's `$ACCESS` and `$ACCOUNT` are from then on.
    pub(super) async fn opened(
        &mut self,
        resource: &str,
        span: &str,
    ) -> anyhow::Result<(Access, Credential)> {
        let (access, credential) = self.world.opened(resource, span).await?;
        self.set("ACCESS", access.0.clone());
        self.set("ACCOUNT", credential.account.clone());
        Ok((access, credential))
    }

    /// Waits until nothing of an access is left on the target, and sees the login refused.
    pub(super) async fn shut(&self, credential: &Credential) -> anyhow::Result<()> {
        let is_so = |found: Option<&Standing>| found.is_none_or(Standing::is_shut);
        self.world.wait_read_back(&credential.account, "the account is shut", AFTER_A_PAUSE, is_so).await?;
        self.world.login(credential).run("select 1").await?.refused()?;
        Ok(())
    }

    /// Somebody changes the admin's password on the target, lets the admin log in, and ends its sessions. The secret is
    /// as it was.
    pub(super) fn new_password(&self) -> anyhow::Result<Secret> {
        let password = Secret::new(random::password());
        let admin = shop::ADMIN;
        let changed = format!(
            "set log_statement = 'none'; set log_min_error_statement = 'panic'; \
             alter role {admin} login password '{}'; \
             select pg_terminate_backend(pid) from pg_stat_activity where usename = '{admin}'",
            password.expose()
        );
        tokio::task::block_in_place(|| self.world.target.psql("postgres", &changed))?;
        Ok(password)
    }

    /// A place in the folder for copies.
    pub(super) fn copies(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(Path::new(self.variable("BACKUP")?).join(name))
    }
}
