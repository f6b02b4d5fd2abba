//! Private servers for the tests, the demo and the bench: real ones, on free ports of the loopback, in folders of their own.
//!
//! Promises: nothing of the machine's own services is touched; a server and its folder are gone when the value that
//! holds it is dropped, and also when the holding process is killed with `kill -9`; a missing program is an error that
//! says how to install it. Leaves to others: what to do with the servers. Nothing in here is product code.

mod cache;
mod clock;
pub mod folder;
pub mod install;
mod keeper;
pub mod openbao;
mod ports;
pub mod postgres;
pub mod process;
mod random;
mod run;
mod runas;
mod tls;
pub mod usage;
