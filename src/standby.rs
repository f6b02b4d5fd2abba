//! Standing by: waits for the lease of a shared journal, warm: everything but the journal is ready.
//!
//! A database that does not answer is waited for, too; one that is damaged is not. One that needs a newer build is left to
//! builds that can use it, as long as one of them is there; then its lease is taken for closing alone.

use std::sync::Arc;
use std::time::Duration;

use journal::JournalFault;
use journal::lease::{Holder, LeaseStore as _, TRY_EVERY, Taking};
use journal_postgres::{Database, Options};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::admin::{Mode, Part, Readiness};
use crate::clock::Clock;
use crate::leadership::Leadership;

/// How long one look at the lease may take.
const LOOKS_WITHIN: Duration = Duration::from_secs(5);

/// What the active instance sits on.
pub(crate) struct Seat {
    pub(crate) database: Arc<Database>,
    pub(crate) leadership: Arc<Leadership>,
}

/// Waits until this instance has the lease. May be dropped at any time: what was taken then ends by itself.
///
/// # Errors
/// When the journal cannot be used by this build, whoever holds the lease.
pub(crate) async fn wait(
    options: &Options,
    clock: &Arc<dyn Clock>,
    ready: &watch::Sender<Readiness>,
) -> Result<Seat, JournalFault> {
    let mut database = None;
    let mut shown = Shown { ready, active: None, trouble: None };
    loop {
        let asked = clock.read().monotonic;
        let looked = timeout(LOOKS_WITHIN, look(&mut database, options)).await;
        match looked {
            Ok(Ok((database, Taking::Taken { epoch }))) => {
                tracing::info!(epoch, "This instance holds the lease and becomes the active one");
                let leadership = Arc::new(Leadership::taken(epoch, asked, Arc::clone(clock)));
                return Ok(Seat { database, leadership });
            }
            Ok(Ok((database, Taking::Held(holder)))) => shown.held(holder, database.too_new()),
            Ok(Err(fault @ JournalFault::Damaged { .. })) => return Err(fault),
            Ok(Err(fault)) => shown.troubled(fault.to_string()),
            Err(_) => {
                shown.troubled(format!("the journal's database did not answer within {LOOKS_WITHIN:?}"))
            }
        }
        sleep(TRY_EVERY.as_std()).await;
    }
}

async fn look(
    known: &mut Option<Arc<Database>>,
    options: &Options,
) -> Result<(Arc<Database>, Taking), JournalFault> {
    let database = match known {
        Some(database) => Arc::clone(database),
        None => {
            let opened = Database::open_or_close_only(options.clone()).await?;
            if let Some(fault) = opened.too_new() {
                tracing::error!(%fault, "A newer build wrote the journal: it is only read, and only closing is done");
            }
            Arc::clone(known.insert(Arc::new(opened)))
        }
    };
    let taking = database.take().await?;
    Ok((database, taking))
}

/// What was told last, so that only news are told.
struct Shown<'r> {
    ready: &'r watch::Sender<Readiness>,
    active: Option<(model::InstanceId, u64)>,
    trouble: Option<String>,
}

impl Shown<'_> {
    fn held(&mut self, holder: Holder, too_new: Option<&JournalFault>) {
        let now = Some((holder.instance, holder.epoch));
        if self.active != now || self.trouble.is_some() {
            tracing::info!(active = %holder.instance, epoch = holder.epoch, "Standing by: another instance is active");
        }
        (self.active, self.trouble) = (now, None);
        self.show(match too_new {
            None => Part::Good,
            Some(fault) => Part::Bad { reason: fault.to_string() },
        });
    }

    fn troubled(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::error!(why, "Standing by without a journal: this instance cannot take over");
        }
        self.trouble = Some(why.clone());
        self.show(Part::Bad { reason: why });
    }

    fn show(&self, journal: Part) {
        self.ready.send_modify(|ready| {
            ready.journal = journal;
            ready.identity = Part::Good;
            ready.mode = Mode::Standby {
                active: self.active.map(|(instance, _)| instance),
                epoch: self.active.map(|(_, epoch)| epoch),
            };
        });
    }
}
