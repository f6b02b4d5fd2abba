//! The journal on a real PostgreSQL: under the one suite, and what is particular to it: the lease, epochs, lost
//! COMMITs, a server that goes away, what else may be in a schema.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract {
    mod formats;
    mod leases;
    mod losses;
    mod world;
}
