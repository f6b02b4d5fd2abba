//! A whole small world: a private PostgreSQL, a control plane of the tests' own, an agent between them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use model::Secret;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::{self};
use serde_json::json;
use services::postgres::{Admin, Ground, Options, Postgres};

use crate::agent::Running;
use crate::bench::{Bench, Said};
use crate::plane::Plane;

/// The one integration.
pub(crate) const INTEGRATION: &str = "orders-db";

/// Fields are dropped in this order: who works on something goes before it.
pub(crate) struct World {
    pub(crate) agent: Option<Running>,
    pub(crate) plane: Plane,
    pub(crate) bench: Bench,
    pub(crate) server: Postgres,
    /// The name that the agent logs in by.
    pub(crate) admin: String,
    settings: Vec<String>,
}

impl World {
    /// Starts everything; returns when the agent has found the target good. `settings` are the agent's, as for `--set`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_on(Ground::default(), settings)
    }

    /// The same on another server, or with an admin who may do less.
    pub(crate) fn start_on(ground: Ground, settings: &[&str]) -> Self {
        let world = Self::without_integration_on(ground, settings);
        world.plane.order([world.integration()]);
        world.wait_good(7);
        world
    }

    /// Starts everything; the agent knows of no target yet.
    pub(crate) fn without_integration(settings: &[&str]) -> Self {
        Self::without_integration_on(Ground::default(), settings)
    }

    /// The same on another server, or with an admin who may do less.
    pub(crate) fn without_integration_on(ground: Ground, settings: &[&str]) -> Self {
        let server = ground.launch(&Options::for_tests()).unwrap();
        server
            .psql("postgres", "create table public.orders (id int); create table public.stock (id int)")
            .unwrap();
        let (plane, bench) = (Plane::start(), Bench::ready());
        std::fs::create_dir(bench.path("secrets")).unwrap();
        bench.mode("secrets", 0o700);
        let (admin, password) = admin(ground.admin, &server, &bench);
        let secret = json!({ "username": admin, "password": password.expose() });
        bench.write("secrets/admin.json", &secret.to_string());
        let mut all = vec![
            format!("control_plane.url={}", plane.url()),
            "control_plane.redial_most=1s".into(),
            format!("secrets.file_root={}", bench.path("secrets").display()),
        ];
        all.extend(settings.iter().map(|one| (*one).to_owned()));
        let mut world = Self { agent: None, plane, bench, server, admin, settings: all };
        world.begin();
        world
    }

    /// Waits until a look at the target by that revision found it good; without TLS there is something to say of it.
    pub(crate) fn wait_good(&self, revision: u64) {
        let tls = self.server.speaks_tls();
        self.wait_health(revision, if tls { v1::HealthState::Good } else { v1::HealthState::Warning });
    }

    /// Waits until a look at the target by that revision came out so.
    pub(crate) fn wait_health(&self, revision: u64, state: v1::HealthState) -> v1::IntegrationHealth {
        self.plane.until(&format!("revision {revision} is {state:?}"), || {
            self.plane.told().into_iter().find_map(|report| match report {
                v1::report::Report::IntegrationHealth(told)
                    if told.revision == revision && told.state() == state =>
                {
                    Some(told)
                }
                _ => None,
            })
        })
    }

    /// Starts the agent.
    pub(crate) fn begin(&mut self) {
        self.agent = Some(Running::by(self.command(&[])));
    }

    /// The agent, not running yet, with more settings.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let settings = self.settings.iter().map(String::as_str).chain(more.iter().copied());
        let args: Vec<&str> = ["run"].into_iter().chain(settings.flat_map(|one| ["--set", one])).collect();
        self.bench.command(&args)
    }

    pub(crate) fn agent(&mut self) -> &mut Running {
        self.agent.as_mut().expect("an agent runs")
    }

    /// Kills the agent as a power cut would, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.agent = None;
        self.begin();
    }

    /// Asks the agent whether it is ready.
    pub(crate) fn health(&self, more: &[&str]) -> Said {
        self.agent.as_ref().expect("an agent runs").health(&self.bench, more)
    }

    /// Runs another command of the agent's.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.bench.run(args)
    }

    pub(crate) fn integration(&self) -> Order {
        self.led(7, &[])
    }

    /// The integration in another revision, with some settings changed; empty ones are left out.
    pub(crate) fn led(&self, revision: u64, changed: &[(&str, &str)]) -> Order {
        Order::PutIntegration(self.put_integration(revision, changed))
    }

    pub(crate) fn put_integration(&self, revision: u64, changed: &[(&str, &str)]) -> v1::PutIntegration {
        let mut settings = place(&self.server);
        settings.extend(changed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        settings.retain(|_, value| !value.is_empty());
        v1::PutIntegration {
            integration_id: INTEGRATION.into(),
            revision,
            kind: "postgres".into(),
            settings,
            secret_reference: "file://admin.json".into(),
            policy: None,
        }
    }

    /// Orders an access of so long for a grantee.
    pub(crate) fn put(&self, access: &str, grantee: &str, table: &str, long: Duration) {
        self.plane.order([put(access, grantee, table, long)]);
    }

    /// Orders an access and waits until it is open.
    pub(crate) fn open(&self, access: &str, grantee: &str, table: &str) {
        self.put(access, grantee, table, Duration::from_secs(3600));
        self.wait(access, "active", |state| matches!(state, State::Active(_)));
    }

    /// Waits until the control plane was told that an access stands so.
    pub(crate) fn wait(&self, access: &str, what: &str, is_so: impl Fn(&State) -> bool) -> State {
        self.plane
            .until(&format!("{access} is {what}"), || self.plane.state(access).filter(|state| is_so(state)))
    }

    /// Waits until the control plane was told that an access has ended.
    pub(crate) fn wait_ended(&self, access: &str) {
        self.wait(access, "ended", |state| matches!(state, State::Ended(_)));
    }

    /// Who can log in at the target and was made by the agent, by name.
    pub(crate) fn logins(&self) -> Vec<String> {
        let query = format!(
            "select rolname from pg_roles where rolcanlogin and rolname not in ('{}', '{}') order by 1",
            self.server.superuser(),
            self.admin
        );
        self.server.psql("postgres", &query).unwrap().lines().map(str::to_owned).collect()
    }

    /// Every account that the agent made, with or without a login.
    pub(crate) fn accounts(&self) -> Vec<String> {
        let query = format!(
            "select rolname from pg_roles m where rolname <> '{}' and exists (select from pg_auth_members where member = m.oid and roleid = (select oid from pg_roles where rolname = 'tidegate_managed')) order by 1",
            self.admin
        );
        self.server.psql("postgres", &query).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Who the agent logs in as, with the password. The least privileged one is made by the agent's own script, and the
/// tables and their database belong to somebody whom it speaks for.
pub(crate) fn admin(admin: Admin, server: &Postgres, bench: &Bench) -> (String, Secret) {
    if admin == Admin::Superuser {
        return (server.superuser().into(), Secret::new(server.password().into()));
    }
    let owned = "create role app_owner; alter database postgres owner to app_owner; \
        do $$ declare one regclass; begin for one in select oid from pg_class where relnamespace = 'public'::regnamespace \
        loop execute format('alter table %s owner to app_owner', one); end loop; end $$";
    server.psql("postgres", owned).unwrap();
    let (name, password) = ("tidegate_connector", "of the least privileged one");
    let major = server.major().unwrap().to_string();
    let least = ["setup-script", "postgres", "--mode", "least", "--username", name, "--owner", "app_owner"];
    let said = bench.run(&[&least[..], &["--server-version", &major]].concat()).ended(0);
    server.set_up(&said.out, password).unwrap();
    (name.into(), Secret::new(password.into()))
}

/// The settings that lead to a server.
pub(crate) fn place(server: &Postgres) -> BTreeMap<String, String> {
    let mut settings =
        vec![("hostname", server.host()), ("port", server.port().to_string()), ("dbname", "postgres".into())];
    if server.speaks_tls() {
        settings.push(("sslmode", "verify-full".into()));
        settings.push(("ca_certificates", std::fs::read_to_string(server.ca_file()).unwrap()));
    } else {
        settings.push(("sslmode", "disable".into()));
    }
    settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The order for an access.
pub(crate) fn put(access: &str, grantee: &str, table: &str, long: Duration) -> Order {
    let until = SystemTime::UNIX_EPOCH.elapsed().unwrap() + long;
    let mut key = vec![0; 32];
    key[0] = 9;
    Order::PutAccess(v1::PutAccess {
        access_id: access.into(),
        revision: 1,
        integration_id: INTEGRATION.into(),
        grantee: Some(v1::Grantee { id: grantee.into(), hint: grantee.into(), public_key: key }),
        entitlements: vec![v1::Entitlement {
            resource: Some(v1::ResourceId {
                kind: "postgresql-table".into(),
                path: ["postgres", "public", table].map(str::to_owned).into(),
            }),
            permission: "READ_ONLY".into(),
        }],
        from: None,
        approval_id: String::new(),
        until: Some(prost_types::Timestamp {
            seconds: until.as_secs().try_into().unwrap(),
            nanos: until.subsec_nanos().try_into().unwrap(),
        }),
    })
}
