//! Which way a change goes.

/// Whether a call makes what is open on a target more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Towards {
    /// Something is made, opened or given, or may be.
    More,
    /// Something is shut, ended, taken away or deleted.
    Less,
}
