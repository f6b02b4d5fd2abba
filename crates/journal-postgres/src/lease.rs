//! The lease's row: taken, prolonged and given back by the server's own clock. It has a connection of its own, so that
//! a renewal waits for no write.

use std::sync::Arc;

use async_trait::async_trait;
use journal::JournalFault;
use journal::lease::{Holder, LASTS, LeaseStore, Renewal, Taking};
use model::{InstanceId, Span};
use tokio::sync::Mutex;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::faults::{self, Met};
use crate::line::{Line, Step};
use crate::options::Options;
use crate::reader::{stored, unsigned};

/// Takes it when it has ended for so long, or is ours already: then under a new epoch all the same.
const TAKE: &str = "INSERT INTO lease AS held (connector, instance, epoch, until) \
     VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond') \
     ON CONFLICT (connector) DO UPDATE SET instance = excluded.instance, epoch = held.epoch + 1, \
        until = clock_timestamp() + $3 * interval '1 millisecond' \
     WHERE held.until + $4 * interval '1 millisecond' <= clock_timestamp() OR held.instance = excluded.instance RETURNING epoch";
/// From here on an earlier epoch writes nothing; waits for a write that is under way.
const FENCE: &str = "UPDATE head SET epoch = $1";
const HELD: &str = "SELECT instance, epoch, \
     greatest(0, extract(epoch FROM until - clock_timestamp()) * 1000)::int8 FROM lease WHERE connector = $1";
const RENEW: &str = "UPDATE lease SET until = clock_timestamp() + $4 * interval '1 millisecond' \
     WHERE connector = $1 AND instance = $2 AND epoch = $3 RETURNING epoch";
const RELEASE: &str = "UPDATE lease SET until = clock_timestamp() \
     WHERE connector = $1 AND instance = $2 AND epoch = $3 AND until > clock_timestamp()";

/// Where the lease is asked for.
pub(crate) struct Leases {
    options: Arc<Options>,
    /// For how long after its end it is left to others.
    yields: Span,
    line: Mutex<Option<Line>>,
}

impl Leases {
    pub(crate) fn new(options: Arc<Options>, yields: Span) -> Self {
        Self { options, yields, line: Mutex::default() }
    }

    async fn with<T>(&self, work: impl AsyncFnOnce(&mut Line) -> Result<T, Met>) -> Result<T, JournalFault> {
        let mut place = self.line.lock().await;
        // Taken out, so that what fails or is given up leaves no open transaction behind.
        let mut line = match place.take().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => {
                Line::open(&self.options, "lease").await.map_err(|detail| JournalFault::Lost { detail })?
            }
        };
        let done = work(&mut line).await.map_err(|met| faults::reading(&self.options.name(), &met))?;
        *place = Some(line);
        Ok(done)
    }

    async fn holder(&self, line: &mut Line) -> Result<Option<Holder>, Met> {
        let connector = self.options.connector.as_str();
        let rows = line.rows(HELD, &[&connector]).await?;
        Ok(rows.first().map(|row| Holder {
            instance: InstanceId::from_uuid(row.get::<_, Uuid>(0)),
            epoch: unsigned(row.get(1)),
            left: Span::from_millis(row.get(2)),
        }))
    }
}

/// A double is what an interval is multiplied by.
fn millis(span: Span) -> f64 {
    span.as_std().as_secs_f64() * 1000.0
}

fn epoch_of(rows: Option<&Vec<Row>>) -> Option<u64> {
    rows.and_then(|rows| rows.first()).map(|row| unsigned(row.get(0)))
}

#[async_trait]
impl LeaseStore for Leases {
    async fn take(&self) -> Result<Taking, JournalFault> {
        let (connector, instance) = (self.options.connector.as_str(), self.options.instance.as_uuid());
        let (lasts, yields) = (millis(LASTS), millis(self.yields));
        let taken = self.with(async |line| {
            let steps =
                vec![Step::Bare("BEGIN"), Step::Prepared(TAKE, vec![&connector, &instance, &lasts, &yields])];
            let taken = line.exchange(steps).await?;
            let Some(epoch) = epoch_of(taken.get(1)) else {
                line.run("ROLLBACK").await?;
                return Ok(Err(self.holder(line).await?));
            };
            line.rows(FENCE, &[&stored(epoch)]).await?;
            line.run("COMMIT").await?;
            Ok(Ok(epoch))
        });
        match taken.await? {
            Ok(epoch) => Ok(Taking::Taken { epoch }),
            Err(Some(holder)) => Ok(Taking::Held(holder)),
            Err(None) => {
                Err(JournalFault::Lost { detail: "the lease was removed while it was asked for".into() })
            }
        }
    }

    async fn renew(&self, epoch: u64) -> Result<Renewal, JournalFault> {
        let (connector, instance) = (self.options.connector.as_str(), self.options.instance.as_uuid());
        let renewed = self.with(async |line| {
            let renewed = line.rows(RENEW, &[&connector, &instance, &stored(epoch), &millis(LASTS)]).await?;
            if renewed.is_empty() { Ok(Err(self.holder(line).await?)) } else { Ok(Ok(())) }
        });
        match renewed.await? {
            Ok(()) => Ok(Renewal::Renewed),
            Err(Some(holder)) => Ok(Renewal::Superseded(holder)),
            Err(None) => Err(JournalFault::Lost { detail: "the lease was removed by hand".into() }),
        }
    }

    async fn release(&self, epoch: u64) -> Result<(), JournalFault> {
        let (connector, instance) = (self.options.connector.as_str(), self.options.instance.as_uuid());
        self.with(async |line| line.rows(RELEASE, &[&connector, &instance, &stored(epoch)]).await.map(drop))
            .await
    }
}
