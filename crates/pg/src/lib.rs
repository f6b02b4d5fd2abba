//! Connecting to a PostgreSQL server: TLS by `sslmode`, a guarded login, deadlines.
//!
//! What it promises: a connection comes about within its deadline or not at all; its TLS is what the mode says;
//! a password in clear text goes only to a server that was verified. A fault says what was met, so that each
//! user words the way out in terms of its own settings.
//!
//! What it leaves to others: what is said over the connection, and what the server's errors mean.

mod dial;
mod handshake;
mod tls;
mod wire;

pub use dial::{Connected, DialFault, Dialer, Login, Place, Service};
pub use handshake::HandshakeFault;
pub use tls::{OwnCertificate, SslMode, TlsFault, certificates, digest_of};
pub use wire::{Cut, Fuse};
