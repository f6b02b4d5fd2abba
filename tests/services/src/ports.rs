//! Free ports of the loopback.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::bail;

use crate::random;

/// Ports below the range from which the kernel takes ports of outgoing connections, so that a server can be stopped
/// and started again on its port without finding it taken by somebody's client.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;
const TRIES: u16 = 200;

/// Finds a port that nobody listens on at this moment. Somebody may be quicker: the caller tries another one then.
pub(crate) fn free() -> anyhow::Result<u16> {
    let start = random::below(COUNT)?;
    for step in 0..TRIES {
        let port = FIRST + (start + step) % COUNT;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!(
        "none of {TRIES} ports from {} on is free on 127.0.0.1: end some programs that listen",
        FIRST + start
    )
}

fn is_free(port: u16) -> bool {
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    // A machine without IPv6 refuses the second for another reason than being in use.
    four.is_ok() && six.err().is_none_or(|fault| fault.kind() != std::io::ErrorKind::AddrInUse)
}
