//! The stream to the server, and the guard that stands in it until the login is over.
//!
//! The client library answers whatever way of login the server asks for, also clear text and MD5. The guard
//! reads the server's messages first and cuts the stream at one that asks for too much:
//! - a password in clear text or as MD5 goes only to a server whose certificate was verified;
//! - a SCRAM exchange that would keep a core busy for long is not begun;
//! - a login that does not come to an end is not remembered for ever.
//!
//! After the login it gets out of the way. What is left of it is a [`Fuse`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection under TLS.
pub(crate) type Tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;

/// More rounds than any server in use asks for; each costs about a microsecond of a core.
const MOST_ROUNDS: u32 = 1_000_000;
/// Longest message before the login is over.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// All messages of a login together: the client library keeps those that it does not wait for.
const LONGEST_LOGIN: usize = 1024 * 1024;
/// `SSLRequest`: length 8, then 1234 and 5679 as two halves of a protocol number.
const TLS_PLEASE: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

const HEADER: usize = 5;
const AUTHENTICATION: u8 = b'R';
const READY: u8 = b'Z';
const CLEAR_TEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;

/// What a server may have that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// There is no password: the server has to know us otherwise.
    Nothing,
    /// A proof that we know the password, which is worth nothing elsewhere.
    Proof,
    /// The password itself: the server's certificate was verified.
    Password,
}

/// Why the guard cut a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    #[error("the server asks for the password in clear text or as MD5, and its certificate was not verified")]
    PasswordUnverified,
    #[error("the server asks for a password, and there is none")]
    NoPassword,
    #[error("the server asks for more than a million SCRAM rounds")]
    TooManyRounds,
    #[error("what answers on this port does not speak PostgreSQL's protocol")]
    NotTheProtocol,
}

/// Asks whether the server speaks TLS. It answers with one byte; what it sends after that byte is read by
/// the TLS handshake and by nothing else.
pub(crate) async fn asks_for_tls(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(&TLS_PLEASE).await?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await?;
    match answer {
        [b'S'] => Ok(true),
        [b'N'] => Ok(false),
        // An error from a server older than TLS, or not PostgreSQL at all.
        [_] => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// For tests: does something as soon as what is written next has left, before anything more is read.
#[derive(Clone, Debug, Default)]
pub struct Fuse(Arc<OnceLock<fn()>>);

impl Fuse {
    /// Lights it; the first deed stays.
    pub fn light(&self, deed: fn()) {
        let _first_wins = self.0.set(deed);
    }
}

/// A stream whose incoming messages are looked at until the login is over.
pub(crate) struct Guarded<S> {
    stream: S,
    watch: Option<Watch>,
    fuse: Fuse,
    /// What is to be done, once something was written since the fuse was lit.
    burns: Option<fn()>,
}

/// What is known of a login so far.
struct Watch {
    gives: Gives,
    /// Arrived, not yet looked at.
    held: Vec<u8>,
    /// Looked at, not yet read by the client.
    passed: Vec<u8>,
    /// How much was looked at.
    looked_at: usize,
    logged_in: bool,
    cut: Arc<OnceLock<Cut>>,
}

impl<S> Guarded<S> {
    /// Guards a stream; the second value tells afterwards whether, and why, the guard cut it.
    pub(crate) fn new(stream: S, gives: Gives) -> (Self, Arc<OnceLock<Cut>>) {
        let cut = Arc::new(OnceLock::new());
        let watch = Watch {
            gives,
            held: vec![],
            passed: vec![],
            looked_at: 0,
            logged_in: false,
            cut: Arc::clone(&cut),
        };
        (Self { stream, watch: Some(watch), fuse: Fuse::default(), burns: None }, cut)
    }

    /// Returns the stream's fuse.
    pub(crate) fn fuse(&self) -> Fuse {
        self.fuse.clone()
    }
}

impl Watch {
    /// Looks at all messages that have come whole.
    fn look(&mut self) -> Result<(), Cut> {
        while !self.logged_in {
            let Some((tag, length)) = header(&self.held) else { break };
            if !(4..=LONGEST_MESSAGE).contains(&length) || self.looked_at > LONGEST_LOGIN {
                return Err(Cut::NotTheProtocol);
            }
            let Some(body) = self.held.get(HEADER..length + 1) else { break };
            if tag == AUTHENTICATION {
                match authentication(body)? {
                    (CLEAR_TEXT | MD5 | SASL, _) if self.gives == Gives::Nothing => {
                        return Err(Cut::NoPassword);
                    }
                    (CLEAR_TEXT | MD5, _) if self.gives != Gives::Password => {
                        return Err(Cut::PasswordUnverified);
                    }
                    (SASL_CONTINUE, challenge) if rounds(challenge) > MOST_ROUNDS => {
                        return Err(Cut::TooManyRounds);
                    }
                    _ => {}
                }
            }
            self.logged_in = tag == READY;
            self.looked_at += length;
            self.passed.extend(self.held.drain(..length + 1));
        }
        if self.logged_in {
            self.passed.append(&mut self.held);
        }
        Ok(())
    }
}

/// Returns tag and length of the first message; the length counts itself and not the tag.
fn header(bytes: &[u8]) -> Option<(u8, usize)> {
    let (&tag, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?);
    Some((tag, usize::try_from(length).unwrap_or(usize::MAX)))
}

/// Returns which way of login the server asks for, and what it says about it.
fn authentication(body: &[u8]) -> Result<(u32, &[u8]), Cut> {
    let (kind, rest) = body.split_first_chunk().ok_or(Cut::NotTheProtocol)?;
    Ok((u32::from_be_bytes(*kind), rest))
}

/// Reads the number of rounds in a SCRAM challenge; one that cannot be read is for the client to refuse.
fn rounds(challenge: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(challenge);
    let Some(number) = text.split(',').find_map(|part| part.strip_prefix("i=")) else { return 0 };
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        number.parse().unwrap_or(u32::MAX)
    } else {
        0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while let Some(watch) = &mut this.watch {
            if !watch.passed.is_empty() {
                let count = watch.passed.len().min(buffer.remaining());
                let now: Vec<u8> = watch.passed.drain(..count).collect();
                buffer.put_slice(&now);
                return Poll::Ready(Ok(()));
            }
            if watch.logged_in {
                this.watch = None;
                break;
            }
            let mut room = [0; 4096];
            let mut arriving = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut arriving))?;
            if arriving.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            watch.held.extend_from_slice(arriving.filled());
            if let Err(cut) = watch.look() {
                let _first_wins = watch.cut.set(cut);
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::PermissionDenied)));
            }
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.burns = self.fuse.0.get().copied();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        if let Some(deed) = self.burns.take_if(|_| flushed.is_ok()) {
            deed();
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Hands the client library a stream whose handshake is over.
pub(crate) struct HandshakeDone;

impl<S: TlsStream + Unpin> TlsConnect<Guarded<S>> for HandshakeDone {
    type Stream = Guarded<S>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Guarded<S>>>;

    fn connect(self, stream: Guarded<S>) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn asks(kind: u32, rest: &[u8]) -> Vec<u8> {
        message(AUTHENTICATION, &[&kind.to_be_bytes(), rest].concat())
    }

    /// Sends bytes one by one, reads all that comes through.
    async fn through(bytes: &[u8], gives: Gives) -> (Vec<u8>, Option<Cut>) {
        let (mut far, near) = tokio::io::duplex(1);
        let (mut guarded, cut) = Guarded::new(near, gives);
        let mut read = vec![];
        let send = async {
            // A cut stream refuses the rest.
            if far.write_all(bytes).await.is_ok() {
                far.shutdown().await.unwrap();
            }
        };
        let receive = async {
            let ended = guarded.read_to_end(&mut read).await;
            drop(guarded);
            ended.is_ok()
        };
        let ((), whole) = tokio::join!(send, receive);
        assert_eq!(whole, cut.get().is_none());
        (read, cut.get().copied())
    }

    #[tokio::test]
    async fn a_login_that_asks_for_too_much_is_cut_before_the_client_sees_it() {
        let notice = message(b'N', b"hello\0");
        let done = [asks(0, b""), message(READY, b"I")].concat();
        let table = [
            ("trust", done.clone(), Gives::Proof, None),
            (
                "SCRAM",
                [asks(10, b"SCRAM-SHA-256\0\0"), asks(11, b"r=x,s=eA==,i=4096"), done.clone()].concat(),
                Gives::Proof,
                None,
            ),
            (
                "too many rounds",
                [asks(11, b"r=x,s=eA==,i=4294967295"), done.clone()].concat(),
                Gives::Password,
                Some(Cut::TooManyRounds),
            ),
            (
                "rounds beyond counting",
                asks(11, b"r=x,s=eA==,i=99999999999999"),
                Gives::Password,
                Some(Cut::TooManyRounds),
            ),
            ("clear text, verified", [asks(CLEAR_TEXT, b""), done.clone()].concat(), Gives::Password, None),
            ("clear text, unverified", asks(CLEAR_TEXT, b""), Gives::Proof, Some(Cut::PasswordUnverified)),
            ("MD5, unverified", asks(MD5, b"salt"), Gives::Proof, Some(Cut::PasswordUnverified)),
            (
                "after a notice",
                [notice, asks(MD5, b"salt")].concat(),
                Gives::Proof,
                Some(Cut::PasswordUnverified),
            ),
            (
                "no protocol",
                b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
                Gives::Proof,
                Some(Cut::NotTheProtocol),
            ),
            (
                "SCRAM without a password",
                asks(SASL, b"SCRAM-SHA-256\0\0"),
                Gives::Nothing,
                Some(Cut::NoPassword),
            ),
            ("MD5 without a password", asks(MD5, b"salt"), Gives::Nothing, Some(Cut::NoPassword)),
            ("known by the certificate", done.clone(), Gives::Nothing, None),
            (
                "data like a request after the login",
                [done, asks(CLEAR_TEXT, b"")].concat(),
                Gives::Proof,
                None,
            ),
        ];
        for (name, bytes, allowed, expected) in table {
            let (read, cut) = through(&bytes, allowed).await;
            assert_eq!(cut, expected, "{name}");
            match cut {
                None => assert_eq!(read, bytes, "{name}"),
                Some(_) => assert!(read.len() < bytes.len(), "{name}"),
            }
        }
    }
}
