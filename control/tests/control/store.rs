//! The SQLite store: the contract, and what is its own.

use std::sync::Arc;

use async_trait::async_trait;
use control::store::contract::{self, StoreWorld};
use control::store::sqlite::SqliteStore;
use control::store::{Store, StoreFault};
use control::token;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::Mutex;

use crate::world::{Folder, open};

#[derive(Default)]
struct SqliteWorld {
    folders: Mutex<Vec<Folder>>,
}

#[async_trait]
impl StoreWorld for SqliteWorld {
    async fn fresh(&self) -> Arc<dyn Store> {
        let folder = Folder::new();
        let store = open(folder.path()).await;
        self.folders.lock().await.push(folder);
        Arc::new(store)
    }

    async fn killed(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        let folders = self.folders.lock().await;
        Arc::new(open(folders.last().unwrap().path()).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    contract::run(&SqliteWorld::default()).await;
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = Folder::new();
    let store = open(folder.path()).await;
    let second = SqliteStore::open(folder.path(), token::new_incarnation()).await;
    assert!(matches!(second, Err(StoreFault::InUse { .. })), "a second process was let in");
    store.close().await;
    let next = SqliteStore::open(folder.path(), token::new_incarnation()).await;
    assert!(next.is_ok(), "a closed store keeps others out");
    drop(store);
}

async fn raw(folder: &Folder) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.path().join("control.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn the_audit_log_and_receipts_are_only_added_to() {
    let folder = Folder::new();
    open(folder.path()).await.close().await;
    let mut connection = raw(&folder).await;
    let fill = [
        "INSERT INTO audit (who, what, subject, body) VALUES ('a', 'b', 'c', '{}')",
        "INSERT INTO connectors (id, body) VALUES ('north', '{}')",
        "INSERT INTO receipts (connector, offer, number, body) VALUES ('north', 'shop', 1, '{}')",
    ];
    for sql in fill {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    let table = [
        "UPDATE audit SET who = 'x'",
        "DELETE FROM audit",
        "UPDATE receipts SET body = 'x'",
        "DELETE FROM receipts",
    ];
    for sql in table {
        let refused = sqlx::query(sql).execute(&mut connection).await;
        assert!(refused.is_err(), "`{sql}` was done");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_build_is_refused() {
    let folder = Folder::new();
    open(folder.path()).await.close().await;
    let mut connection = raw(&folder).await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
               VALUES (9999, 'from the future', 1, x'00', 0)";
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let refused = SqliteStore::open(folder.path(), token::new_incarnation()).await;
    assert!(matches!(refused, Err(StoreFault::TooNew { .. })), "a newer store was opened");
}
