//! A whole world: target, control plane, agent, what stands between them, and people.

mod asking;
pub mod journals;
pub mod places;
mod reading;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use model::Secret;
use serde_json::Value;
use services::folder::Folder;
use services::postgres::{self, Ground, LogStatement, Postgres};
use services::process::workplace;

use crate::agent::{Agent, Setup};
use crate::authority::Authority;
use crate::clock;
use crate::person::{Desk, Person};
use crate::plane::Plane;
use crate::programs::Programs;
use crate::proxy::Proxy;
use crate::{random, shop};

pub use asking::{Access, Credential};
pub use reading::Standing;

/// The connector of every world.
pub const CONNECTOR: &str = "harbour-1";
/// The integration on whose requests somebody decides.
pub const INTEGRATION: &str = "shop-db";

const CONNECTED: Duration = Duration::from_secs(60);
const DISCOVERED: Duration = Duration::from_secs(60);

/// How a world differs from the usual one.
#[derive(Clone, Debug)]
pub struct Options {
    /// What programs tell of themselves.
    pub log_level: &'static str,
    /// Which server the target is, and as whom the agent logs in there.
    pub ground: Ground,
    /// The target's own settings.
    pub target: postgres::Options,
    /// Root starts the agent as a user without rights.
    pub without_rights: bool,
    /// Whether the proxy that keeps what is said stands between agent and control plane.
    pub proxied: bool,
    /// How requests are decided: `approve` or `auto`.
    pub approval: &'static str,
    /// Whether the journal is in a database, and a second instance is set up that shares it.
    pub shared: bool,
    /// The agent's guardrails, if it is to have any.
    pub guardrails: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        let target = postgres::Options { log_statement: LogStatement::All, ..postgres::Options::for_tests() };
        Self {
            log_level: "info",
            ground: Ground::default(),
            target,
            without_rights: false,
            proxied: true,
            approval: "approve",
            shared: false,
            guardrails: None,
        }
    }
}

/// A world. Dropping it ends everything in it.
#[derive(Debug)]
pub struct World {
    pub admin: Person,
    pub approver: Person,
    pub requester: Person,
    pub agent: Agent,
    /// The second instance, which is set up and not started.
    pub standby: Option<Agent>,
    /// The server of the shared journal.
    pub journals: Option<Postgres>,
    pub proxy: Option<Proxy>,
    pub plane: Plane,
    pub target: Postgres,
    /// Which server that is, and as whom the agent logs in there.
    pub ground: Ground,
    /// Of the role that the agent logs in as.
    pub admin_password: Secret,
    /// The files of the tokens that were given out.
    pub tokens: Vec<PathBuf>,
    desk: Desk,
    secret_reference: String,
    approval: &'static str,
    // Last, so that it outlives what works in it.
    folder: Folder,
}

impl World {
    /// Starts everything; returns when the agent is connected and the target's resources are known. What went wrong on
    /// the way is told with what the programs said.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let folder = workplace("world")?;
        let place = |name: &str| folder.path().join(name);
        let started = tokio::task::block_in_place(|| {
            let target = options.ground.launch(&options.target)?;
            shop::fill(&target)?;
            let password = Secret::new(random::password());
            shop::make_admin(&target, options.ground.admin, &programs.agent, &password)?;
            anyhow::Ok((target, password))
        });
        let (target, admin_password) = started.context("start the target")?;

        let mut plane = Plane::new(&programs.control, &place("control"), options.log_level)?;
        let admin_token = plane.bootstrap("olga@example.org").await?;
        plane.start().await?;
        let desk = Desk {
            ctl: programs.ctl.clone(),
            psql: programs.psql.clone(),
            url: plane.url(),
            authority: plane.authority().to_owned(),
            runtime: place("run"),
        };
        crate::private_folder(&desk.runtime)?;
        crate::private_folder(&place("people"))?;
        let home = |name: &str| place("people").join(name);
        let admin = Person::login(&desk, &home("olga"), "olga@example.org", &admin_token).await?;
        let mut tokens = vec![admin_token];
        let mut join = async |name: &str, role: &str| -> anyhow::Result<Person> {
            let email = format!("{name}@example.org");
            admin.ask(["users", "create", &email, "--role", role]).await?;
            let file = place("people").join(format!("{name}.token"));
            let text = file.display().to_string();
            let made = ["tokens", "create", "--user", &email, "--name", "first", "--token-file", &text];
            admin.ask(made).await?;
            tokens.push(file.clone());
            Person::login(&desk, &home(name), &email, &file).await
        };
        let approver = join("piet", "approver").await?;
        let requester = join("ann", "requester").await?;

        let token_file = place("people").join("connector.token");
        let text = token_file.display().to_string();
        admin.ask(["connectors", "create", CONNECTOR, "--token-file", &text]).await?;
        tokens.push(token_file.clone());
        let authority = Authority::new(&place("proxy-ca.pem"))?;
        let proxy = match options.proxied {
            true => Some(Proxy::start(&authority, plane.agents(), plane.authority()).await?),
            false => None,
        };
        let journals = match options.shared {
            true => {
                Some(tokio::task::block_in_place(journals::launch).context("start the journals' server")?)
            }
            false => None,
        };
        let mut settings = journals.as_ref().map(journals::settings).unwrap_or_default();
        if let Some(text) = options.guardrails {
            let file = place("guardrails.cedar");
            crate::private_file(&file, text)?;
            settings.push(format!("guardrails.file={}", file.display()));
        }
        let setup = Setup {
            connector: CONNECTOR,
            token_file: &token_file,
            plane: proxy.as_ref().map_or(plane.agents(), Proxy::address),
            authority: proxy.as_ref().map_or(plane.authority(), |_| authority.file()),
            log_level: options.log_level,
            without_rights: options.without_rights,
            settings: &settings,
        };
        let agent = Agent::set_up(&programs.agent, &place("agent"), setup.clone()).await?;
        let secret_reference = agent.keep_secret("shop.json", shop::ADMIN, &admin_password)?;
        let standby = match &journals {
            Some(_) => {
                let standby = Agent::set_up(&programs.agent, &place("standby"), setup).await?;
                standby.share_identity(&agent)?;
                for instance in [&agent, &standby] {
                    instance.keep_secret("shop.json", shop::ADMIN, &admin_password)?;
                    instance.keep_secret(
                        journals::SECRET,
                        journals::ROLE,
                        &Secret::new(journals::PASSWORD.into()),
                    )?;
                }
                Some(standby)
            }
            None => None,
        };
        let approval = options.approval;
        let mut world = Self {
            admin,
            approver,
            requester,
            agent,
            standby,
            journals,
            proxy,
            plane,
            target,
            ground: options.ground,
            admin_password,
            tokens,
            desk,
            secret_reference,
            approval,
            folder,
        };
        match world.settle().await {
            Ok(()) => Ok(world),
            Err(fault) => Err(world.explained(fault)),
        }
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        self.agent.start().await?;
        self.wait_connected().await?;
        self.apply(None).await?;
        let resources = async || {
            let found = self.admin.ask(["integrations", "show", INTEGRATION]).await?;
            let discovered = found.get("discovered_at").is_some_and(|at| !at.is_null());
            Ok(discovered.then_some(()))
        };
        clock::until("the target's resources are known", DISCOVERED, resources).await
    }

    /// Waits until the control plane says that the agent is connected.
    pub async fn wait_connected(&self) -> anyhow::Result<()> {
        clock::until("the agent is connected", CONNECTED, async || {
            let connectors = self.admin.ask(["connectors", "list"]).await?;
            Ok((connectors.pointer("/0/connected") == Some(&Value::Bool(true))).then_some(()))
        })
        .await
    }

    /// Applies the integration, with this cleanup period in days.
    pub async fn apply(&self, cleanup_days: Option<u32>) -> anyhow::Result<()> {
        self.apply_at(self.target.port(), cleanup_days).await
    }

    /// Applies the integration, leading to another port than the target's.
    pub async fn apply_at(&self, port: u16, cleanup_days: Option<u32>) -> anyhow::Result<()> {
        self.apply_to("localhost", port, cleanup_days).await
    }

    /// Applies the integration, leading to another place than the target's usual one.
    pub async fn apply_to(&self, host: &str, port: u16, cleanup_days: Option<u32>) -> anyhow::Result<()> {
        let policy = serde_json::json!({ "credentials_cleanup_period_in_days": cleanup_days });
        self.apply_with(host, port, &policy).await
    }

    /// Applies the integration, with these periods in days.
    pub async fn apply_policy(&self, rotation: Option<u32>, cleanup: Option<u32>) -> anyhow::Result<()> {
        let policy = serde_json::json!({
            "credentials_rotation_period_in_days": rotation,
            "credentials_cleanup_period_in_days": cleanup,
        });
        self.apply_with("localhost", self.target.port(), &policy).await
    }

    async fn apply_with(&self, host: &str, port: u16, policy: &Value) -> anyhow::Result<()> {
        let mut settings = serde_json::json!({
            "hostname": host,
            "port": port.to_string(),
            "dbname": "postgres",
            "sslmode": "disable",
        });
        if self.target.speaks_tls() {
            let ca = std::fs::read_to_string(self.target.ca_file()).context("read the target's authority")?;
            settings["sslmode"] = "verify-full".into();
            settings["ca_certificates"] = ca.into();
        }
        let document = serde_json::json!({
            "id": INTEGRATION,
            "connector": CONNECTOR,
            "kind": "postgres",
            "title": "The shop",
            "settings": settings,
            "secret": self.secret_reference,
            "policy": policy,
            "approval": { "mode": self.approval },
        });
        let file = self.folder.path().join("integration.json");
        crate::private_file(&file, &document.to_string())?;
        let file = file.display().to_string();
        self.admin.ask(["integrations", "apply", "-f", &file]).await?;
        Ok(())
    }

    /// What every person of this world shares.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The folder of everything but the target.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Adds the last words of all programs to a fault.
    pub fn explained(&self, fault: anyhow::Error) -> anyhow::Error {
        let (agent, control) = (self.agent.log().tail(), self.plane.log().tail());
        let standby = self.standby.as_ref().map(|standby| standby.log().tail());
        let standby = standby.map(|said| format!("\nthe second instance said:\n{said}")).unwrap_or_default();
        fault.context(format!(
            "on {}, the agent said:\n{agent}{standby}\nthe control plane said:\n{control}\nand what went wrong",
            self.ground
        ))
    }
}
