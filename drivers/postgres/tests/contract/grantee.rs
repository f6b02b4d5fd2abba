//! A grantee's session, by the client that any program would use.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use driver::contract::{GranteeSession, Use, WorldFault};
use model::Entitlement;
use tokio_postgres::error::SqlState;

use crate::admin::{Line, ident, literal};

static TRANSACTIONS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn transaction_name() -> String {
    format!("left behind {}", TRANSACTIONS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Session(pub(crate) Line);

#[async_trait]
impl GranteeSession for Session {
    async fn try_use(&mut self, entitlement: &Entitlement) -> Result<Use, WorldFault> {
        let [_, schema, table] = entitlement.resource.path.as_slice() else {
            return Err(WorldFault(format!("cannot use {entitlement}")));
        };
        let table = format!("{}.{}", ident(schema), ident(table));
        let statement = match entitlement.permission.0.as_str() {
            "READ_ONLY" => format!("SELECT * FROM {table} LIMIT 1"),
            _ => format!("INSERT INTO {table} DEFAULT VALUES"),
        };
        match self.0.client.simple_query(&statement).await {
            Ok(_) => Ok(Use::Works),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(Use::Denied),
            Err(error) if error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN) => {
                Ok(Use::SessionGone)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn is_alive(&mut self) -> bool {
        self.0.client.simple_query("SELECT 1").await.is_ok()
    }

    async fn prepare_transaction(&mut self) -> Result<(), WorldFault> {
        let name = literal(&transaction_name());
        self.0.run(&format!("BEGIN; SELECT txid_current(); PREPARE TRANSACTION {name}")).await
    }
}
