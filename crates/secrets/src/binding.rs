//! What a secret reference is bound to: the driver's kind, the host, the port and the TLS floor.

use serde::{Deserialize, Serialize};

/// The least protection a connection has, from none to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsFloor {
    /// Clear text is possible.
    None,
    /// Always encrypted; the peer is not verified.
    Encrypted,
    /// Encrypted, and the peer's chain leads to a trusted root.
    VerifiedChain,
    /// Encrypted, trusted chain, and the name in the certificate is the host's.
    VerifiedName,
}

/// Where a secret would be sent: what a driver reads from an integration's settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The driver's kind, for example `postgresql`.
    pub kind: String,
    pub host: String,
    pub port: u16,
    pub tls_floor: TlsFloor,
}
