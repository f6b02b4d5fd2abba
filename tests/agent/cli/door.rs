//! A door that counts who comes in: behind it is a server, or nobody.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// A listener on the loopback.
pub(crate) struct Door {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Door {
    /// Whoever comes in is counted and sent away.
    pub(crate) fn to_nobody(at: &str) -> Self {
        Self::open(at, None)
    }

    /// Whoever comes in is counted and led to the server on that port.
    pub(crate) fn to(port: u16) -> Self {
        Self::open("127.0.0.1:0", Some(port))
    }

    fn open(at: &str, behind: Option<u16>) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let (came, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (Arc::clone(&came), Arc::clone(&closed));
        let keeper = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                if let Some(port) = behind
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", port))
                {
                    pass(stream.try_clone().unwrap(), server.try_clone().unwrap());
                    pass(server, stream);
                }
            }
        });
        Self { address, came, closed, keeper: Some(keeper) }
    }

    /// Its port, as settings have it.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// How many have come.
    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

/// Passes on what one side says, until it says no more.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut bytes)
            && to.write_all(&bytes[..read]).is_ok()
        {}
        to.shutdown(Shutdown::Write).ok();
    });
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the keeper.
        TcpStream::connect(self.address).ok();
        self.keeper.take().map(JoinHandle::join);
    }
}
