//! The journal on PostgreSQL, which several instances of a connector share: one holds the lease and writes, the others
//! wait.
//!
//! The same port, tables and promises as the SQLite journal's. What differs: whoever writes proves in each transaction
//! that its epoch is the present one; a lost COMMIT is settled by waiting until its transaction is over. See the README
//! for the tables, the rights it needs, and what survives what.
//!
//! What it leaves to others: when to take, renew and give up the lease (`journal::lease` has the rules), backups.

mod faults;
mod format;
mod lease;
mod line;
mod options;
mod reader;
mod session;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use journal::lease::{LeaseStore, Renewal, Taking};
use journal::queue::{Desk, Losses, Order, Waiting, within};
use journal::{Journal, JournalFault, Loaded, StoredReceipt, StoredReport};
use model::durable::{Batch, Table};
use model::{Durable, Incarnation, IntegrationId, Position, Span};
use tokio::task::JoinSet;

use format::Settled;
use lease::Leases;
use line::Line;
use reader::Reader;
use writer::Writer;

pub use options::{Credentials, Keeper, Options};

/// How full the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    pub rows: BTreeMap<Table, u64>,
    pub receipts: u64,
    pub last_report: Position,
    pub uncommitted_reports: u64,
    /// Tables and indexes.
    pub bytes: u64,
}

/// For so long after a lease has ended a build that can only close leaves it to those that can do more.
const YIELDS: Span = Span::from_secs(20);

/// A database that holds a journal and its lease.
pub struct Database {
    options: Arc<Options>,
    leases: Leases,
    /// Why nothing may be written to the journal.
    too_new: Option<JournalFault>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Database {
    /// Connects, and makes or brings up the tables.
    ///
    /// # Errors
    /// [`JournalFault::TooNew`], [`JournalFault::Damaged`], or [`JournalFault::Unusable`] with the way out.
    pub async fn open(options: Options) -> Result<Self, JournalFault> {
        match Self::open_or_close_only(options).await? {
            Self { too_new: Some(fault), .. } => Err(fault),
            opened => Ok(opened),
        }
    }

    /// The same, but a journal that a newer build wrote is opened, too: it is read as far as it is understood, every
    /// append is refused, and its lease is taken only when no other build wants it.
    ///
    /// # Errors
    /// As [`Self::open`], but never [`JournalFault::TooNew`].
    pub async fn open_or_close_only(options: Options) -> Result<Self, JournalFault> {
        let name = options.name();
        let opened = Self::opened(options, true).await?;
        opened.ok_or_else(|| faults::unusable(&name, "its tables could not be made"))
    }

    /// Connects to read beside the instances that use it; nothing is ever written or made. `None` when there is no
    /// journal yet.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_beside(options: Options) -> Result<Option<Self>, JournalFault> {
        match Self::opened(options, false).await? {
            Some(Self { too_new: Some(fault), .. }) => Err(fault),
            opened => Ok(opened),
        }
    }

    /// Returns why nothing may be written to the journal, if a newer build wrote it.
    pub const fn too_new(&self) -> Option<&JournalFault> {
        self.too_new.as_ref()
    }

    async fn opened(options: Options, may_write: bool) -> Result<Option<Self>, JournalFault> {
        let look = async {
            let mut line = Line::open(&options, "journal")
                .await
                .map_err(|detail| faults::unusable(&options.name(), detail))?;
            format::settle(&mut line, &options, may_write).await
        };
        let settled = match within(options.slow_deadline, look).await {
            Err(JournalFault::Lost { detail }) => Err(faults::unusable(&options.name(), detail)),
            other => other,
        }?;
        let options = Arc::new(options);
        let of =
            |yields, too_new| Self { leases: Leases::new(Arc::clone(&options), yields), options, too_new };
        Ok(match settled {
            Settled::Nothing => None,
            Settled::Usable => Some(of(Span::ZERO, None)),
            Settled::TooNew(fault) => Some(of(YIELDS, Some(fault))),
        })
    }

    /// Returns the journal as the holder of this epoch writes it.
    pub fn journal(&self, epoch: u64) -> Postgres {
        Postgres::new(Arc::clone(&self.options), epoch, self.too_new.clone())
    }

    /// Returns the journal to read beside its holder; every append is refused.
    pub fn beside(&self) -> Postgres {
        let refusal = JournalFault::NotWritten { detail: "it was opened for reading only".into() };
        Postgres::new(Arc::clone(&self.options), 0, Some(refusal))
    }
}

#[async_trait]
impl LeaseStore for Database {
    async fn take(&self) -> Result<Taking, JournalFault> {
        within(self.options.deadline, self.leases.take()).await
    }

    async fn renew(&self, epoch: u64) -> Result<Renewal, JournalFault> {
        within(self.options.deadline, self.leases.renew(epoch)).await
    }

    async fn release(&self, epoch: u64) -> Result<(), JournalFault> {
        within(self.options.deadline, self.leases.release(epoch)).await
    }
}

/// A journal in a schema of its own.
pub struct Postgres {
    options: Arc<Options>,
    reader: Reader,
    desk: Desk,
    // The writer ends when nobody can order any more, or with this.
    _writer: JoinSet<()>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Postgres {
    fn new(options: Arc<Options>, epoch: u64, refusal: Option<JournalFault>) -> Self {
        let losses: Arc<Losses> = Arc::default();
        let (desk, waiting) = Desk::new(Arc::clone(&losses), refusal);
        let mut crew = JoinSet::new();
        crew.spawn(Writer::new(Arc::clone(&options), epoch, losses).run(waiting));
        Self { reader: Reader::new(Arc::clone(&options)), options, desk, _writer: crew }
    }

    /// Returns how full the journal is.
    ///
    /// # Errors
    /// As [`Journal::load`].
    pub async fn statistics(&self) -> Result<Statistics, JournalFault> {
        self.desk.check_open()?;
        let (rows, chains, bytes) = within(self.options.slow_deadline, self.reader.count()).await?;
        Ok(Statistics {
            rows,
            receipts: chains.receipt_count(),
            last_report: chains.last_report,
            uncommitted_reports: chains.uncommitted(),
            bytes,
        })
    }
}

#[async_trait]
impl Journal for Postgres {
    async fn load(&self) -> Result<Loaded, JournalFault> {
        self.desk.check_open()?;
        let seen = self.desk.losses().seen();
        let patience = self.options.slow_deadline;
        self.desk.ask(patience, Order::Barrier).await?;
        let loaded = within(patience, self.reader.load()).await?;
        self.desk.losses().heal(seen);
        Ok(loaded)
    }

    async fn append(&self, batch: &Batch) -> Result<Durable, JournalFault> {
        self.desk.check_writable()?;
        let batch = batch.clone();
        self.desk.ask(self.options.deadline, |reply| Order::Append(Waiting { batch, reply })).await
    }

    async fn reports(&self, after: Position, limit: u32) -> Result<Vec<StoredReport>, JournalFault> {
        self.desk.check_open()?;
        within(self.options.deadline, self.reader.reports(after, limit)).await
    }

    async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        self.desk.check_open()?;
        within(self.options.deadline, self.reader.receipts(integration, after, limit)).await
    }

    async fn begin_incarnation(&self, new: Incarnation) -> Result<(), JournalFault> {
        self.desk.check_writable()?;
        self.desk.ask(self.options.slow_deadline, |reply| Order::BeginIncarnation { new, reply }).await
    }

    async fn close(&self) -> Result<(), JournalFault> {
        if !self.desk.shut() {
            return Ok(());
        }
        self.reader.close().await;
        match self.desk.ask(self.options.slow_deadline, Order::Close).await {
            Ok(()) | Err(JournalFault::Closed) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}
