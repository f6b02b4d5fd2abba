//! A TCP proxy that can be torn: the wire for targets that speak question and answer over TCP.
//!
//! It knows no protocol. A question begins with the first bytes that a client sends after bytes of the
//! server (or after connecting); so it works under TLS, and for every driver that waits for answers.
//!
//! When it tears, the server's end goes first and the client's end only after the server has closed, so that
//! what the server does about a lost client is done when the driver hears of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::wire::{Cut, Wire};

/// How long a server may take to let go of a lost client.
const LETTING_GO: Duration = Duration::from_secs(5);

/// How things pass at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    /// The number rises with each mending: older connections end.
    Open(u64),
    Muted(u64),
    Torn(u64),
}

impl Passage {
    const fn age(self) -> u64 {
        match self {
            Self::Open(age) | Self::Muted(age) | Self::Torn(age) => age,
        }
    }
}

#[derive(Debug, Default)]
struct Counted {
    armed: Option<Cut>,
    exchanges: u32,
    was_cut: bool,
}

#[derive(Debug)]
struct Shared {
    counted: Mutex<Counted>,
    /// How much later each answer comes, in milliseconds.
    slow: AtomicU64,
    passage: watch::Sender<Passage>,
}

/// A TCP proxy on the loopback; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Begins to listen on a free port of the loopback and to pass on to `target`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (passage, _) = watch::channel(Passage::Open(0));
        let shared = Arc::new(Shared { counted: Mutex::default(), slow: AtomicU64::new(0), passage });
        let mut connections = JoinSet::new();
        connections.spawn(listen(listener, target, Arc::clone(&shared)));
        Ok(Self { address, shared, _connections: connections })
    }

    /// Returns where the driver has to connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[async_trait]
impl Wire for Proxy {
    async fn cut(&self, at: Cut) {
        let mut counted = self.shared.counted();
        *counted = Counted { armed: Some(at), exchanges: 0, was_cut: false };
    }

    fn was_cut(&self) -> bool {
        self.shared.counted().was_cut
    }

    async fn mute(&self) {
        self.shared.passage.send_modify(|passage| *passage = Passage::Muted(passage.age()));
    }

    async fn slow(&self, by: Duration) {
        self.shared.slow.store(by.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn mend(&self) {
        self.shared.slow.store(0, Ordering::Relaxed);
        self.shared.counted().armed = None;
        self.shared.passage.send_modify(|passage| *passage = Passage::Open(passage.age() + 1));
    }
}

impl Shared {
    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a question; returns what is to be cut at it.
    fn count(&self) -> Option<Cut> {
        let mut counted = self.counted();
        counted.exchanges += 1;
        let due = match counted.armed? {
            Cut::Before(n) | Cut::After(n) => n == counted.exchanges,
        };
        if !due {
            return None;
        }
        counted.was_cut = true;
        counted.armed.take()
    }

    fn tear(&self) {
        self.passage.send_modify(|passage| *passage = Passage::Torn(passage.age()));
    }
}

async fn listen(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if !matches!(*shared.passage.borrow(), Passage::Torn(_)) {
            connections.spawn(pass(client, target, Arc::clone(&shared)));
        }
    }
}

/// Passes one connection until it ends; whatever ends it, both ends are closed.
async fn pass(client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let mut passage = shared.passage.subscribe();
    let begun = passage.borrow_and_update().age();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut question, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut asking = false;
    let mut losing_the_answer = false;
    loop {
        let now = *passage.borrow_and_update();
        if now.age() != begun {
            return;
        }
        let muted = match now {
            Passage::Open(_) => false,
            Passage::Muted(_) => true,
            Passage::Torn(_) => break,
        };
        tokio::select! {
            changed = passage.changed() => if changed.is_err() { return },
            read = from_client.read(&mut question), if !muted => {
                let Ok(bytes @ 1..) = read else { break };
                if !asking {
                    asking = true;
                    match shared.count() {
                        Some(Cut::Before(_)) => { shared.tear(); continue; }
                        Some(Cut::After(_)) => losing_the_answer = true,
                        None => {}
                    }
                }
                let part = question.get(..bytes).unwrap_or_default();
                if to_server.write_all(part).await.is_err() { return }
            }
            read = from_server.read(&mut answer), if !muted => {
                let Ok(bytes @ 1..) = read else { return };
                let slow = shared.slow.load(Ordering::Relaxed);
                if asking && slow > 0 {
                    tokio::time::sleep(Duration::from_millis(slow)).await;
                }
                asking = false;
                if losing_the_answer { shared.tear(); continue; }
                let part = answer.get(..bytes).unwrap_or_default();
                if to_client.write_all(part).await.is_err() { break }
            }
        }
    }
    drop(to_server);
    let until_closed = async { while let Ok(1..) = from_server.read(&mut answer).await {} };
    if tokio::time::timeout(LETTING_GO, until_closed).await.is_err() {
        tracing::debug!("The server did not let go of a torn connection in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each line with itself and counts them.
    async fn echo(listener: TcpListener, heard: watch::Sender<u32>) {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = heard.clone();
            connections.spawn(async move {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte).await {
                    heard.send_modify(|count| *count += 1);
                    if stream.write_all(&byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    }

    async fn ask(stream: &mut TcpStream) -> bool {
        let mut byte = [7];
        stream.write_all(&byte).await.is_ok() && matches!(stream.read(&mut byte).await, Ok(1))
    }

    #[tokio::test]
    async fn a_cut_loses_the_question_or_the_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let (heard, count) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(echo(listener, heard));
        let proxy = Proxy::start(target).await.unwrap();

        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut stream).await);
        proxy.cut(Cut::Before(2)).await;
        assert!(ask(&mut stream).await, "the first one passes");
        assert!(!proxy.was_cut());
        assert!(!ask(&mut stream).await);
        assert!(proxy.was_cut());
        assert_eq!(*count.borrow(), 2, "the question did not arrive");

        let mut late = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(!ask(&mut late).await, "what is cut stays cut");

        proxy.mend().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.cut(Cut::After(1)).await;
        assert!(!ask(&mut stream).await);
        assert_eq!(*count.borrow(), 3, "the question arrived");
        assert!(proxy.was_cut());
    }

    #[tokio::test]
    async fn a_muted_wire_is_half_open_and_gone_when_mended() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let (heard, _count) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(echo(listener, heard));
        let proxy = Proxy::start(target).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut stream).await);
        proxy.mute().await;
        let silence = tokio::time::timeout(Duration::from_millis(200), ask(&mut stream)).await;
        assert!(silence.is_err(), "neither answered nor closed");
        proxy.mend().await;
        assert!(!ask(&mut stream).await, "the old connection is gone");
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut stream).await);
    }
}
