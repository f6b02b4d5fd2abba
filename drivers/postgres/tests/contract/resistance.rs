//! A grantee that does not want to go: it logs in again and again, locks its own row in open and in
//! prepared transactions, sets other roles, hides behind a slow login, and fills the house with sessions.

use std::time::Duration;

use async_trait::async_trait;
use driver::contract::{Resistance, WorldFault};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::Config;

use crate::admin::{Line, ident, literal};
use crate::grantee::transaction_name;

/// How many of each kind fight at once.
const FIGHTERS: usize = 3;
const BREATH: Duration = Duration::from_millis(5);

pub(crate) struct Fight {
    _fighters: JoinSet<()>,
}

#[async_trait]
impl Resistance for Fight {
    async fn stop(self: Box<Self>) {
        let Self { _fighters: mut fighters } = *self;
        fighters.shutdown().await;
    }
}

/// Begins the fight; returns once the account's own row is locked for the first time.
pub(crate) async fn fight(
    login: Config,
    account: &str,
    roles: Vec<String>,
) -> Result<Box<dyn Resistance>, WorldFault> {
    let first = Line::open(&login).await?;
    let own = ident(account);
    first
        .run(&format!("BEGIN; ALTER ROLE {own} PASSWORD 'mine'; ALTER ROLE {own} SET work_mem = '1MB'"))
        .await?;
    let mut fighters = JoinSet::new();
    fighters.spawn(async move { hold(first).await });
    for n in 0..FIGHTERS {
        fighters.spawn(row_locker(login.clone(), own.clone()));
        fighters.spawn(preparer(login.clone(), own.clone(), roles.get(n % roles.len().max(1)).cloned()));
        fighters.spawn(crowd(login.clone()));
        fighters.spawn(slow_starter(login.clone()));
    }
    Ok(Box::new(Fight { _fighters: fighters }))
}

/// Keeps a session, and the lock in it, until the server ends it.
async fn hold(line: Line) {
    while !line.client.is_closed() {
        sleep(BREATH).await;
    }
}

async fn row_locker(login: Config, own: String) {
    loop {
        if let Ok(line) = Line::open(&login).await {
            let locked = line
                .run(&format!(
                    "BEGIN; ALTER ROLE {own} SET statement_timeout = 0; ALTER ROLE {own} PASSWORD 'mine'"
                ))
                .await;
            if locked.is_ok() {
                hold(line).await;
            }
        }
        sleep(BREATH).await;
    }
}

/// Leaves transactions behind that hold the own row, as itself and as a role that it can be.
async fn preparer(login: Config, own: String, role: Option<String>) {
    loop {
        if let Ok(line) = Line::open(&login).await {
            let become_other =
                role.as_ref().map(|role| format!("SET LOCAL ROLE {};", ident(role))).unwrap_or_default();
            let name = literal(&transaction_name());
            let script = format!(
                "BEGIN; SAVEPOINT s; ALTER ROLE {own} PASSWORD 'mine'; RELEASE s; {become_other} PREPARE TRANSACTION {name}"
            );
            if line.run(&script).await.is_err() {
                drop(line.run("ROLLBACK").await);
            }
        }
        sleep(BREATH).await;
    }
}

/// Opens as many sessions as it gets.
async fn crowd(login: Config) {
    let mut lines = vec![];
    loop {
        match Line::open(&login).await {
            Ok(line) => lines.push(line),
            Err(_) => sleep(BREATH).await,
        }
        lines.retain(|line| !line.client.is_closed());
        sleep(BREATH).await;
    }
}

/// Has its login checked and then lets the server wait before the session is anybody's to see.
async fn slow_starter(mut login: Config) {
    login.options("-c post_auth_delay=3");
    loop {
        if let Ok(line) = Line::open(&login).await {
            hold(line).await;
        }
        sleep(BREATH).await;
    }
}
