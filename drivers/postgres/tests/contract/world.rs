//! The world of the contract suite: a private PostgreSQL with a little data in two databases.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use async_trait::async_trait;
use driver::contract::{
    Can, Fate, GranteeSession, LogLine, Planted, Proxy, Recorder, Resistance, Wired, World, WorldFault,
};
use driver::{Driver, Settings, SetupWish, Target, TargetContext, TargetSecret, credential};
use driver_postgres::Postgres as PostgresDriver;
use model::{AccountName, Entitlement, Failure, ImmutableId, ResourceId, Secret, Timestamp};
use services::postgres::{Admin, Mode, Options, Postgres};

use crate::admin::{Line, admin, config, ident, literal};
use crate::grantee::Session;
use crate::inventory::inventory;
use crate::resistance::fight;

pub(crate) struct PostgresWorld {
    pub(crate) server: Postgres,
    pub(crate) admin: Admin,
    /// The name and password that the driver logs in by.
    login: (String, String),
    pub(crate) options: Options,
    elsewhere: Option<Box<PostgresWorld>>,
}

pub(crate) fn table(database: &str, schema: &str, table: &str, permission: &str) -> Entitlement {
    Entitlement::new(ResourceId::new("postgresql-table", [database, schema, table]), permission)
}

impl PostgresWorld {
    pub(crate) async fn start(options: &Options, admin: Admin, elsewhere: Option<Box<Self>>) -> Self {
        Recorder::of_process();
        let server = Postgres::launch(options).unwrap();
        let login = (server.superuser().to_owned(), server.password().to_owned());
        let mut world = Self { server, admin, login, options: options.clone(), elsewhere };
        world.furnish().await.unwrap();
        if admin == Admin::Least {
            world.prepare().await.unwrap();
        }
        world
    }

    /// Runs the set-up script of mode `least` as its reader would, and logs in by that role from now on.
    async fn prepare(&mut self) -> Result<(), WorldFault> {
        let wish = self.wish().await;
        let password = credential::generate()?.expose().to_owned();
        self.server
            .set_up(&PostgresDriver.setup_script(&wish)?, &password)
            .map_err(|fault| WorldFault(format!("{fault:#}")))?;
        self.login = ("tidegate_connector".into(), password);
        Ok(())
    }

    /// Makes databases, roles and tables as they would be on somebody's server.
    async fn furnish(&self) -> Result<(), WorldFault> {
        let line = self.admin("postgres").await?;
        line.run("CREATE ROLE app_owner LOGIN; CREATE ROLE analysts NOLOGIN").await?;
        for database in ["app", "sales"] {
            line.run(&format!("CREATE DATABASE {database} OWNER app_owner")).await?;
        }
        let app = self.admin("app").await?;
        app.run(
            "SET ROLE app_owner; CREATE SCHEMA stock; CREATE SCHEMA made; \
             CREATE TABLE stock.items (id serial PRIMARY KEY, name text); INSERT INTO stock.items DEFAULT VALUES; \
             CREATE TABLE stock.levels (id serial PRIMARY KEY, name text); \
             CREATE TABLE stock.by_hand (id int); \
             CREATE TABLE public.orders (id serial PRIMARY KEY); INSERT INTO public.orders DEFAULT VALUES",
        )
        .await?;
        let sales = self.admin("sales").await?;
        sales
            .run("SET ROLE app_owner; CREATE SCHEMA crm; CREATE TABLE crm.leads (id serial PRIMARY KEY)")
            .await
    }

    pub(crate) async fn admin(&self, database: &str) -> Result<Line, WorldFault> {
        admin(&self.server, database).await
    }

    pub(crate) fn settings(&self, host: &str, port: u16) -> Settings {
        let settings = Settings::default()
            .with("hostname", host)
            .with("port", port.to_string())
            .with("dbname", "postgres")
            .with("sessions_per_account", "40");
        if self.server.speaks_tls() {
            let ca = std::fs::read_to_string(self.server.ca_file()).unwrap();
            settings.with("sslmode", "verify-full").with("ca_certificates", ca)
        } else {
            settings.with("sslmode", "disable")
        }
    }

    pub(crate) fn secret(&self, password: &str) -> TargetSecret {
        let values: BTreeMap<String, Secret> = [("username", self.admin_name()), ("password", password)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Secret::new(value.to_owned())))
            .collect();
        TargetSecret::new(values, "1")
    }

    pub(crate) async fn connect_to(
        &self,
        settings: &Settings,
        secret: &TargetSecret,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure> {
        PostgresDriver.parse(settings).unwrap().connect(secret, context).await
    }

    /// Connects by another port of this machine.
    pub(crate) async fn connect_by(
        &self,
        port: u16,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure> {
        self.connect_to(&self.settings("127.0.0.1", port), &self.secret(&self.login.1), context).await
    }

    /// Returns the name that the driver logs in by.
    pub(crate) fn admin_name(&self) -> &str {
        &self.login.0
    }

    /// Returns true when the driver's admin reaches only what it made, and its owners' things.
    pub(crate) async fn narrow(&self) -> Result<bool, WorldFault> {
        Ok(self.admin == Admin::Least && self.major().await >= 16)
    }

    pub(crate) async fn major(&self) -> u32 {
        let version =
            self.admin("postgres").await.unwrap().one("SHOW server_version_num").await.unwrap().unwrap();
        version.parse::<u32>().unwrap() / 10_000
    }

    /// Returns what the least admin's script is wished for.
    pub(crate) async fn wish(&self) -> SetupWish {
        SetupWish {
            mode: Some("least".into()),
            server_version: Some(self.major().await),
            owners: vec!["app_owner".into()],
            attachable: vec!["analysts".into()],
            ..SetupWish::default()
        }
    }

    /// Logs in as the driver does.
    pub(crate) async fn as_admin(&self, database: &str) -> Line {
        Line::open(&config(&self.server, &self.login.0, &self.login.1, database)).await.unwrap()
    }

    fn usual(&self) -> Settings {
        self.settings("127.0.0.1", self.server.port())
    }

    /// Returns the permission roles that an account is a member of.
    pub(crate) async fn permission_roles(&self, account: &str) -> Result<Vec<String>, WorldFault> {
        self.admin("postgres")
            .await?
            .column(&format!(
                "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
                 JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = {} AND r.rolname LIKE 'tidegate\\_r%'",
                literal(account)
            ))
            .await
    }
}

#[async_trait]
impl World for PostgresWorld {
    fn driver(&self) -> &dyn Driver {
        &PostgresDriver
    }

    fn can(&self) -> Can {
        Can {
            hold_sessions: true,
            add_rights_by_hand: true,
            write_marks: true,
            rename_accounts: true,
            open_by_hand: true,
            widen_roles: true,
            own_objects: true,
            prepare_transactions: true,
            resist: true,
            tear_wires: true,
            restore_backups: true,
            have_elsewhere: self.elsewhere.is_some(),
            read_target_log: true,
        }
    }

    async fn connect(&self, context: TargetContext) -> Result<Box<dyn Target>, Failure> {
        self.connect_to(&self.usual(), &self.secret(&self.login.1), context).await
    }

    async fn connect_with_wrong_secret(
        &self,
        context: TargetContext,
        wrong: &Secret,
    ) -> Result<Box<dyn Target>, Failure> {
        self.connect_to(&self.usual(), &self.secret(wrong.expose()), context).await
    }

    fn admin_secrets(&self) -> Vec<Secret> {
        vec![Secret::new(self.login.1.clone())]
    }

    async fn now(&self) -> Result<Timestamp, WorldFault> {
        let line = self.admin("postgres").await?;
        let text = line.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8").await?;
        Ok(Timestamp::from_millis(text.unwrap_or_default().parse()?))
    }

    async fn inventory(&self) -> Result<BTreeSet<String>, WorldFault> {
        inventory(&self.server).await
    }

    fn log(&self) -> Vec<LogLine> {
        Recorder::of_process().lines()
    }

    fn plain(&self) -> Vec<Entitlement> {
        vec![
            table("app", "public", "orders", "READ_ONLY"),
            table("sales", "crm", "leads", "READ_ONLY"),
            table("app", "stock", "items", "READ_ONLY"),
        ]
    }

    fn levels(&self) -> Option<(Entitlement, Entitlement)> {
        Some((table("app", "stock", "levels", "READ_ONLY"), table("app", "stock", "levels", "READ_WRITE")))
    }

    async fn make_resource(&self, name: &str) -> Result<Option<Entitlement>, WorldFault> {
        if name.contains('\0') {
            return Ok(None);
        }
        let line = self.admin("app").await?;
        line.run(&format!("SET ROLE app_owner; CREATE TABLE IF NOT EXISTS made.{} (id serial)", ident(name)))
            .await?;
        let exact = format!(
            "SELECT 1 FROM pg_class WHERE relnamespace = 'made'::regnamespace AND relname::text = {}",
            literal(name)
        );
        if line.one(&exact).await?.is_some() {
            return Ok(Some(table("app", "made", name, "READ_ONLY")));
        }
        line.run(&format!("DROP TABLE made.{}", ident(name))).await?;
        Ok(None)
    }

    async fn drop_resource(&self, resource: &ResourceId) -> Result<(), WorldFault> {
        let name = resource.path.last().cloned().unwrap_or_default();
        self.admin("app").await?.run(&format!("DROP TABLE made.{}", ident(&name))).await
    }

    async fn login(
        &self,
        account: &AccountName,
        clear: &Secret,
        near: &ResourceId,
    ) -> Result<Option<Box<dyn GranteeSession>>, WorldFault> {
        let database = near.path.first().map_or("postgres", String::as_str);
        match Line::open(&config(&self.server, &account.0, clear.expose(), database)).await {
            Ok(line) => Ok(Some(Box::new(Session(line)))),
            Err(error) if error.code().is_some_and(|state| state.code().starts_with("28")) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn plant_account(&self, name: &AccountName) -> Result<Planted, WorldFault> {
        let clear = credential::generate()?;
        let verifier = PostgresDriver.verifier(&clear)?.unwrap();
        let line = self.admin("postgres").await?;
        line.run(&format!("CREATE ROLE {} LOGIN PASSWORD {}", ident(&name.0), literal(&verifier.0))).await?;
        let oid = line.one(&format!("SELECT oid FROM pg_roles WHERE rolname = {}", literal(&name.0))).await?;
        Ok(Planted { immutable: ImmutableId(oid.unwrap_or_default()), credential: clear })
    }

    async fn drop_account(&self, name: &AccountName) -> Result<(), WorldFault> {
        for database in ["app", "sales", "postgres"] {
            self.admin(database).await?.run(&format!("DROP OWNED BY {} CASCADE", ident(&name.0))).await?;
        }
        self.admin("postgres").await?.run(&format!("DROP ROLE {}", ident(&name.0))).await
    }

    async fn mark(&self, name: &AccountName) -> Result<Option<String>, WorldFault> {
        let query = format!(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = {}",
            literal(&name.0)
        );
        Ok(self.admin("postgres").await?.one(&query).await?.filter(|text| !text.is_empty()))
    }

    async fn put_mark(&self, name: &AccountName, mark: Option<&str>) -> Result<(), WorldFault> {
        let (line, role) = (self.admin("postgres").await?, ident(&name.0));
        match mark {
            Some(text) => line.run(&format!("COMMENT ON ROLE {role} IS {}", literal(text))).await,
            None => {
                line.run(&format!("COMMENT ON ROLE {role} IS NULL; REVOKE tidegate_managed FROM {role}"))
                    .await
            }
        }
    }

    async fn rename_account(&self, from: &AccountName, to: &AccountName) -> Result<(), WorldFault> {
        let line = self.admin("postgres").await?;
        line.run(&format!("ALTER ROLE {} RENAME TO {}", ident(&from.0), ident(&to.0))).await
    }

    async fn open_by_hand(&self, name: &AccountName) -> Result<(), WorldFault> {
        let line = self.admin("postgres").await?;
        let role = ident(&name.0);
        line.run(&format!("ALTER ROLE {role} LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'")).await
    }

    async fn add_rights_by_hand(&self, name: &AccountName) -> Result<usize, WorldFault> {
        let role = ident(&name.0);
        let app = self.admin("app").await?;
        app.run(&format!(
            "SET ROLE app_owner; GRANT SELECT, DELETE ON stock.by_hand TO {role} WITH GRANT OPTION; \
             GRANT USAGE ON SCHEMA stock TO {role}; \
             SET ROLE {role}; GRANT SELECT ON stock.by_hand TO analysts; RESET ROLE; GRANT UPDATE (name) ON stock.items TO {role}; \
             ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT ON TABLES TO {role}"
        ))
        .await?;
        let line = self.admin("postgres").await?;
        line.run(&format!("GRANT CREATE ON DATABASE sales TO {role}")).await?;
        if self.narrow().await? {
            // What else a superuser can add is beyond this admin: see `least`.
            return Ok(3);
        }
        line.run(&format!("GRANT pg_monitor TO {role}; ALTER ROLE {role} CREATEDB")).await?;
        Ok(5)
    }

    async fn widen_role(&self, account: &AccountName) -> Result<(), WorldFault> {
        for role in self.permission_roles(&account.0).await? {
            self.admin("app")
                .await?
                .run(&format!("GRANT INSERT ON public.orders TO {}", ident(&role)))
                .await?;
        }
        Ok(())
    }

    async fn narrow_role(&self, _: &AccountName) -> Result<(), WorldFault> {
        let line = self.admin("app").await?;
        let roles = line
            .column(
                "SELECT DISTINCT a.grantee::regrole FROM pg_class, aclexplode(relacl) a \
                 WHERE oid = 'public.orders'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> relowner",
            )
            .await?;
        for role in roles {
            line.run(&format!("REVOKE INSERT ON public.orders FROM {role}")).await?;
        }
        Ok(())
    }

    async fn plant_owned(&self, name: &AccountName) -> Result<Vec<String>, WorldFault> {
        let role = ident(&name.0);
        let mut found = vec![];
        for (database, schema) in [("app", "stock"), ("sales", "crm")] {
            let line = self.admin(database).await?;
            let table = format!("{schema}.{}", ident(&format!("of {}", name.0)));
            line.run(&format!("CREATE TABLE {table} (); ALTER TABLE {table} OWNER TO {role}")).await?;
            found.push(format!("{database}|{table}"));
        }
        Ok(found)
    }

    async fn fate(&self, object: &str) -> Result<Fate, WorldFault> {
        let (database, table) = object.split_once('|').unwrap_or_default();
        let line = self.admin(database).await?;
        let owner = format!(
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass({})",
            literal(table)
        );
        let Some(owner) = line.one(&owner).await? else { return Ok(Fate::Gone) };
        let powerless = format!(
            "SELECT 1 FROM pg_roles r WHERE rolname = {} AND NOT (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb) \
             AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid \
                 OR m.roleid = r.oid AND m.member::regrole::text <> {}) \
             AND NOT EXISTS (SELECT FROM pg_shdepend s WHERE s.refobjid = r.oid AND s.deptype = 'a' \
                 AND s.classid <> COALESCE(to_regclass('pg_auth_members'), 0::oid))",
            literal(&owner),
            literal(self.admin_name())
        );
        let powerless = line.one(&powerless).await?.is_some();
        Ok(if powerless { Fate::OwnedByPowerless } else { Fate::OwnedBy(owner) })
    }

    async fn remove_owned(&self, object: &str) -> Result<(), WorldFault> {
        let (database, table) = object.split_once('|').unwrap_or_default();
        self.admin(database).await?.run(&format!("DROP TABLE IF EXISTS {table}")).await
    }

    async fn resist(
        &self,
        account: &AccountName,
        clear: &Secret,
        near: &ResourceId,
    ) -> Result<Box<dyn Resistance>, WorldFault> {
        let database = near.path.first().map_or("postgres", String::as_str);
        let mut roles = self.permission_roles(&account.0).await?;
        roles.push("tidegate_managed".into());
        fight(config(&self.server, &account.0, clear.expose(), database), &account.0, roles).await
    }

    async fn connect_by_wire(&self, context: TargetContext) -> Result<Wired, WorldFault> {
        let address = format!("{}:{}", self.server.host(), self.server.port()).parse()?;
        let proxy = Proxy::start(address).await?;
        let settings = self.settings("127.0.0.1", proxy.address().port());
        let target = self.connect_to(&settings, &self.secret(&self.login.1), context).await?;
        Ok(Wired { target, wire: Box::new(proxy) })
    }

    async fn backup(&self) -> Result<Box<dyn Any + Send + Sync>, WorldFault> {
        let kept = self.server.folder().join("kept");
        self.copy(&self.server.data_dir(), &kept)?;
        Ok(Box::new(kept))
    }

    async fn restore(&self, backup: &(dyn Any + Send + Sync)) -> Result<(), WorldFault> {
        let Some(kept) = backup.downcast_ref::<PathBuf>() else {
            return Err(WorldFault("this is no backup of this world".into()));
        };
        self.copy(kept, &self.server.data_dir())
    }

    fn elsewhere(&self) -> Option<&dyn World> {
        self.elsewhere.as_deref().map(|world| world as &dyn World)
    }

    async fn target_log(&self) -> Result<String, WorldFault> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.server.log_file())?).into_owned())
    }
}

impl PostgresWorld {
    /// Copies a data folder while the server is down.
    fn copy(&self, from: &std::path::Path, to: &std::path::Path) -> Result<(), WorldFault> {
        let told = |fault: anyhow::Error| WorldFault(format!("{fault:#}"));
        self.server.stop(Mode::Fast).map_err(told)?;
        if to.exists() {
            std::fs::remove_dir_all(to)?;
        }
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
        if !copied.success() {
            return Err(WorldFault(format!("cp ended with {copied}")));
        }
        self.server.start().map_err(told)
    }
}
