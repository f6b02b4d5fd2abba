//! Those that read: a few connections that cannot write, each lent out for one consistent view.
//!
//! What is asked most is a row or two that are in memory, answered faster than another thread would be
//! woken; lists are read aside.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{PATIENCE, Through, connect, fault};
use crate::store::StoreFault;

/// Readers at a time.
const READERS: usize = 8;

/// The connections.
pub(super) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    shelf: Arc<Mutex<Vec<Connection>>>,
}

fn lock(shelf: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, places: Arc::new(Semaphore::new(READERS)), shelf: Arc::default() }
    }

    /// Begins a view.
    pub(super) async fn begin(&self) -> Result<Reader, StoreFault> {
        let place = match tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(StoreFault::Unavailable { detail: "it is closed".into() }),
            Err(_) => return Err(StoreFault::Unavailable { detail: "too many are reading".into() }),
        };
        let idle = lock(&self.shelf).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path)
                .and_then(|connection| {
                    connection.pragma_update(None, "query_only", true)?;
                    Ok(connection)
                })
                .map_err(fault)?,
        };
        run(&connection, "BEGIN").map_err(fault)?;
        Ok(Reader { connection: Some(connection), shelf: self.shelf.clone(), place })
    }

    /// Waits for those that are lent out and ends all; later views are refused.
    pub(super) async fn close(&self) {
        let all = self.places.acquire_many(u32::try_from(READERS).unwrap_or(u32::MAX));
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("Somebody still reads the store while it is closed");
        }
        self.places.close();
        lock(&self.shelf).clear();
    }
}

fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// One consistent view.
pub(super) struct Reader {
    /// There until the view is dropped.
    connection: Option<Connection>,
    shelf: Arc<Mutex<Vec<Connection>>>,
    // Given back after the connection is.
    place: OwnedSemaphorePermit,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // A connection whose view does not end is not lent again.
        if run(&connection, "ROLLBACK").is_ok() && !self.place.semaphore().is_closed() {
            lock(&self.shelf).push(connection);
        }
    }
}

impl Through for Reader {
    fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    fn aside<T>(work: impl FnOnce() -> T) -> T {
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
            Ok(_) | Err(_) => work(),
        }
    }
}
