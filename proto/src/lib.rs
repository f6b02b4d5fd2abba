//! The wire between agent and control plane, as generated from `proto/tidegate/connector/v1`.
//!
//! What a message means is said in its `.proto`; how a session lives, in this package's README. Nothing
//! here checks what it reads: each side turns messages into words of `model` and refuses what does not fit.

/// Version 1 of the wire.
pub mod v1 {
    tonic::include_proto!("tidegate.connector.v1");
}

/// The `FileDescriptorSet` of the wire and what it imports, without comments.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.binpb"));

/// The protocol that this build speaks, as both ends of the range in `Hello`.
pub const PROTOCOL: u32 = 1;

/// What no side sends more of. Who reads holds the other side to it.
pub mod limits {
    /// Bytes of one encoded message.
    pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
    /// Bytes of a name: whatever is not an id and not prose.
    pub const NAME_BYTES: usize = 256;
    /// Bytes of prose: details, reasons, connection lines.
    pub const TEXT_BYTES: usize = 4096;
    /// Bytes of a setting's value or a secret reference.
    pub const SETTING_BYTES: usize = 16 * 1024;
    /// Settings of an integration.
    pub const SETTINGS: usize = 128;
    /// Driver manifests in a greeting.
    pub const MANIFESTS: usize = 64;
    /// Public keys in a greeting.
    pub const PUBLIC_KEYS: usize = 64;
    /// Cursors in a greeting.
    pub const CURSORS: usize = 64;
    /// Entitlements of an access.
    pub const ENTITLEMENTS: usize = 10_000;
    /// Bytes of the texts of all entitlements of an access together: a receipt has to hold them twice.
    pub const ENTITLEMENT_BYTES: usize = 1024 * 1024;
    /// Parts of a resource's path.
    pub const PATH_PARTS: usize = 16;
    /// Resources on a page.
    pub const PAGE_RESOURCES: usize = 1000;
    /// Accesses on a page of a standing list.
    pub const PAGE_ACCESSES: usize = 10_000;
    /// Residual items of one access.
    pub const RESIDUALS: usize = 500;
    /// Probes of one check.
    pub const PROBES: usize = 256;
    /// Labels and tags of one thing.
    pub const LABELS: usize = 64;
    /// Connection lines of one credential.
    pub const CONNECTION_LINES: usize = 64;
    /// Examples of one kind of drift, and of parts of a target that could not be listed.
    pub const EXAMPLES: usize = 100;
    /// Bytes of a receipt's statement.
    pub const RECEIPT_BYTES: usize = 15 * 1024 * 1024;
    /// Bytes of a public key, and of an HPKE encapsulated key. Never fewer, never more.
    pub const KEY_BYTES: usize = 32;
    /// Bytes of a SHA-256. Never fewer, never more.
    pub const HASH_BYTES: usize = 32;
    /// Bytes of an Ed25519 signature. Never fewer, never more.
    pub const SIGNATURE_BYTES: usize = 64;
    /// Bytes of a sealed credential's ciphertext, its tag included.
    pub const CIPHERTEXT_BYTES: usize = 256 * 1024 + 16;
}
