//! The door of the admin endpoints: few at a time, and nobody stays long.
//!
//! The endpoints may be open to a whole network, and whoever connects is not asked who they are. So seats
//! are few, a connection ends after a while whatever it does, and who finds no seat waits outside.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How many connections there are at once.
pub(super) const SEATS: usize = 32;
/// How long a connection lives; whoever scrapes metrics connects anew after it.
pub(super) const STAY: Duration = Duration::from_secs(15);

/// A listener with few seats.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, seats: Arc::new(Semaphore::new(SEATS)) }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // The semaphore is never closed.
        let seat = Arc::clone(&self.seats).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Guest { stream, stay: Box::pin(sleep(STAY)), _seat: seat }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with an end.
#[derive(Debug)]
pub(super) struct Guest {
    stream: TcpStream,
    stay: Pin<Box<Sleep>>,
    _seat: Option<OwnedSemaphorePermit>,
}

impl Guest {
    /// Returns an error once the stay is over; else wakes the task when it will be.
    fn overstayed(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.stay.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.overstayed(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
