//! A stretch of network between an agent and what it dials, byte by byte: it holds up, slows down, cuts, and changes what
//! it carries, as a bad line or a hostile one does. It knows TLS records and nothing of what is in them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy::Side;

/// A record's head: kind, version, length.
const HEAD: usize = 5;
/// The kind of records that carry what is said, once the handshake is over.
const SAID: u8 = 0x17;
/// How often a slow line carries a little.
const TICK: Duration = Duration::from_millis(50);

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Nothing gets through, in either direction, and nobody is told: the connections stay.
    Still,
    /// So many bytes a second get through in each direction.
    Slow(u32),
}

/// What a hostile line does to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Changes a bit.
    Flip,
    /// Lets the next one go first.
    Swap,
    /// Carries it twice.
    Twice,
    /// Leaves it out.
    Leave,
}

/// A running line. Dropping it ends every connection on it.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    ended: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    /// Done to the next record of that side.
    trick: Mutex<Option<(Side, Trick)>>,
    cut: Mutex<CancellationToken>,
    connections: watch::Sender<usize>,
}

impl Wire {
    /// Listens on a free port of an address, and leads to another.
    pub async fn start(at: &str, upstream: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((at, 0)).await.with_context(|| format!("listen on {at}"))?;
        let address = listener.local_addr().context("learn the line's address")?;
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(Weather::Fair),
            trick: Mutex::default(),
            cut: Mutex::default(),
            connections: watch::Sender::new(0),
        });
        let wire = Self { address, shared, tracker: TaskTracker::new(), ended: CancellationToken::new() };
        let (shared, tracker, ended) = (wire.shared.clone(), wire.tracker.clone(), wire.ended.clone());
        wire.tracker.spawn(async move {
            let accepting = accept(listener, upstream, shared, tracker, ended.clone());
            ended.run_until_cancelled(accepting).await
        });
        Ok(wire)
    }

    /// Where agents dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it is from now on.
    pub fn turns(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Plays a trick on the next record of a side.
    pub fn plays(&self, side: Side, trick: Trick) {
        *self.shared.trick.lock().unwrap_or_else(PoisonError::into_inner) = Some((side, trick));
    }

    /// Whether the trick was played.
    pub fn has_played(&self) -> bool {
        self.shared.trick.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Ends every connection at once, without a word.
    pub fn cut(&self) {
        let mut cut = self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.cancel();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    ended: CancellationToken,
) {
    while let Ok((near, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        let cut = shared.cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (relayed, ended) = (relay(near, upstream, shared.clone()), ended.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = ended.cancelled() => {}
                // How a connection ends is for its two ends to say.
                _its_end = relayed => {}
            }
        });
    }
}

async fn relay(near: TcpStream, upstream: SocketAddr, shared: Arc<Shared>) -> io::Result<()> {
    let far = TcpStream::connect(upstream).await?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // Whichever direction ends first, the other one ends with it.
    tokio::select! {
        ended = carry(near_in, far_out, Side::Agent, &shared) => ended,
        ended = carry(far_in, near_out, Side::Control, &shared) => ended,
    }
}

/// Carries record by record.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    side: Side,
    shared: &Shared,
) -> io::Result<()> {
    let mut weather = shared.weather.subscribe();
    let mut held: Option<Vec<u8>> = None;
    loop {
        not_still(&mut weather).await?;
        let mut record = vec![0; HEAD];
        from.read_exact(&mut record).await?;
        let &[kind, _, _, high, low] = record.as_slice() else { continue };
        record.resize(HEAD + usize::from(u16::from_be_bytes([high, low])), 0);
        from.read_exact(record.get_mut(HEAD..).unwrap_or_default()).await?;
        // What was on its way when it became still is held, too.
        not_still(&mut weather).await?;
        let trick = if kind == SAID { take(shared, side) } else { None };
        match trick {
            Some(Trick::Leave) => continue,
            Some(Trick::Swap) => {
                held = Some(record);
                continue;
            }
            Some(Trick::Twice) => put(&mut to, &record, &weather).await?,
            Some(Trick::Flip) => {
                if let Some(last) = record.last_mut() {
                    *last ^= 1;
                }
            }
            None => {}
        }
        put(&mut to, &record, &weather).await?;
        if let Some(held) = held.take() {
            put(&mut to, &held, &weather).await?;
        }
    }
}

fn take(shared: &Shared, side: Side) -> Option<Trick> {
    let mut trick = shared.trick.lock().unwrap_or_else(PoisonError::into_inner);
    trick.take_if(|(of, _)| *of == side).map(|(_, trick)| trick)
}

async fn not_still(weather: &mut watch::Receiver<Weather>) -> io::Result<()> {
    weather.wait_for(|weather| *weather != Weather::Still).await.map_err(io::Error::other)?;
    Ok(())
}

async fn put(to: &mut OwnedWriteHalf, record: &[u8], weather: &watch::Receiver<Weather>) -> io::Result<()> {
    let mut rest = record;
    while !rest.is_empty() {
        let now = *weather.borrow();
        let Weather::Slow(a_second) = now else { return to.write_all(rest).await };
        let ticks = u32::try_from(1000 / TICK.as_millis()).unwrap_or(1);
        let piece = usize::try_from((a_second / ticks).max(1)).unwrap_or(1).min(rest.len());
        let (first, after) = rest.split_at(piece);
        to.write_all(first).await?;
        tokio::time::sleep(TICK).await;
        rest = after;
    }
    Ok(())
}
