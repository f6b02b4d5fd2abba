//! The sample database: a shop with a few schemas and tables, some with names that need quoting, and the role that the
//! agent logs in as.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use model::Secret;
use services::postgres::{Admin, Postgres};

/// The database.
pub const DATABASE: &str = "shop";
/// Whose all of it is.
const OWNER: &str = "shop_owner";
/// The role that the agent logs in as.
pub const ADMIN: &str = "tidegate_connector";
/// Resources, as they are typed into `tidegatectl`.
pub const ORDERS: &str = "postgresql-table:shop/public/orders";
pub const GOODS: &str = "postgresql-table:shop/склад/товары";
pub const ODD: &str = r#"postgresql-table:shop/billing/O'Brien "&" sons"#;

const TABLES: &str = r#"
create schema "склад" authorization shop_owner;
create schema billing authorization shop_owner;
create table public.orders (id bigint primary key, customer text not null, total numeric(10,2) not null);
create table public.customers (id bigint primary key, name text not null, city text);
create table "склад"."товары" (id bigint primary key, "название" text not null, "остаток" int not null);
create table billing.invoices (id bigint primary key, order_id bigint not null, paid boolean not null default false);
create table billing."O'Brien ""&"" sons" (id bigint primary key, note text);
create view public.big_orders as select * from public.orders where total > 100;
alter table public.orders owner to shop_owner;
alter table public.customers owner to shop_owner;
alter table "склад"."товары" owner to shop_owner;
alter table billing.invoices owner to shop_owner;
alter table billing."O'Brien ""&"" sons" owner to shop_owner;
alter view public.big_orders owner to shop_owner;
insert into public.customers select n, 'Kunde ' || n, case n % 3 when 0 then 'Zürich' when 1 then 'Łódź' else '大阪' end
  from generate_series(1, 40) n;
insert into public.orders select n, 'Kunde ' || (n % 40 + 1), (n * 7919 % 25000) / 100.0 from generate_series(1, 500) n;
insert into "склад"."товары" select n, 'товар ' || n, n % 17 from generate_series(1, 60) n;
insert into billing.invoices select n, n, n % 5 <> 0 from generate_series(1, 500) n;
insert into billing."O'Brien ""&"" sons" values (1, 'naïve café ☕');
analyze;
"#;

/// What is in the tables, as it is read back.
pub const COUNT_ORDERS: (&str, &str) = ("select count(*) from public.orders", "500");
pub const COUNT_GOODS: (&str, &str) = (r#"select count(*) from "склад"."товары""#, "60");

/// Makes the database with its rows.
pub fn fill(server: &Postgres) -> anyhow::Result<()> {
    server.psql("postgres", &format!("create role {OWNER} nologin"))?;
    server.psql("postgres", &format!("create database {DATABASE} owner {OWNER}"))?;
    server.psql(DATABASE, TABLES)?;
    Ok(())
}

/// Makes the role that the agent logs in as: the least privileged one by the agent's own script.
pub fn make_admin(server: &Postgres, admin: Admin, agent: &Path, password: &Secret) -> anyhow::Result<()> {
    match admin {
        Admin::Superuser => make_superuser(server, password),
        Admin::Least => server.set_up(&least_script(server, agent)?, password.expose()),
    }
    .with_context(|| format!("make {ADMIN}"))
}

/// The password does not get into the server's log.
fn make_superuser(server: &Postgres, password: &Secret) -> anyhow::Result<()> {
    let made = format!(
        "set log_statement = 'none'; set log_min_error_statement = 'panic'; \
         create role {ADMIN} login superuser password '{}'",
        password.expose()
    );
    server.psql("postgres", &made)?;
    Ok(())
}

/// What a person would print to set up this server.
fn least_script(server: &Postgres, agent: &Path) -> anyhow::Result<String> {
    let mut asked = Command::new(agent);
    asked.args(["setup-script", "postgres", "--mode", "least", "--username", ADMIN, "--owner", OWNER]);
    asked.arg("--server-version").arg(server.major()?.to_string()).env_clear();
    let said = asked.output().context("run tidegate setup-script")?;
    ensure!(said.status.success(), "tidegate setup-script: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).context("read the script")
}
