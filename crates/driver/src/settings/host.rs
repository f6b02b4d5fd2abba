//! A host as people type it: a DNS name, an IPv4 or an IPv6 address, without port, user or scheme.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest DNS name, and longest label of one, in bytes.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Where a target is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name in ASCII, lower case.
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFault {
    pub reason: &'static str,
    pub way_out: &'static str,
}

const fn fault(reason: &'static str, way_out: &'static str) -> HostFault {
    HostFault { reason, way_out }
}

impl Host {
    /// Reads a host. IPv6 addresses may stand in brackets.
    ///
    /// # Errors
    /// Says what the text is instead, for example a URL or a host with a port.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        if text.contains("://") || text.contains('/') {
            return Err(fault("holds a URL or a path", "give only the name or address of the host"));
        }
        if text.contains('@') {
            return Err(fault("holds an `@`", "give only the host; the user belongs to the secret"));
        }
        if text.contains('%') {
            return Err(fault("holds a zone or an escape", "give the address without `%`"));
        }
        if let Some(inner) = text.strip_prefix('[') {
            let Some(inner) = inner.strip_suffix(']') else {
                return Err(fault("has a `[` without a `]` at its end", "give the port in its own field"));
            };
            return inner
                .parse()
                .map(Self::V6)
                .map_err(|_| fault("is not an IPv6 address in its brackets", "write it as [2001:db8::1]"));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(match address {
                IpAddr::V4(address) => Self::V4(address),
                IpAddr::V6(address) => Self::V6(address),
            });
        }
        if text.contains(':') {
            return Err(fault(
                "is neither a host name nor an IPv6 address",
                "give the port in its own field, and IPv6 as 2001:db8::1",
            ));
        }
        dns_name(text).map(Self::Name)
    }

    /// The value that stands in until a reading with faults is refused.
    pub(super) const fn stand_in() -> Self {
        Self::V6(Ipv6Addr::UNSPECIFIED)
    }

    /// Returns the form for URLs, IPv6 in brackets.
    pub fn in_url(&self) -> String {
        match self {
            Self::Name(_) | Self::V4(_) => self.to_string(),
            Self::V6(address) => format!("[{address}]"),
        }
    }
}

impl fmt::Display for Host {
    /// The bare form, for resolvers and clients' `--host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
        }
    }
}

fn dns_name(text: &str) -> Result<String, HostFault> {
    if !text.is_ascii() {
        return Err(fault("has a character outside ASCII", "write the name in its `xn--` form"));
    }
    if text.is_empty() || text.len() > LONGEST_NAME {
        return Err(fault("is no host name by its length", "give 1 to 253 bytes"));
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Err(fault("has an empty part", "write it without double dots or a dot at either end"));
        }
        if label.len() > LONGEST_LABEL {
            return Err(fault("has a part of more than 63 bytes", "check the name"));
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(fault(
                "has a character that host names do not have",
                "use a-z, 0-9, `-`, `_` and dots",
            ));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(fault("has a part that begins or ends with `-`", "check the name"));
        }
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault("looks like an IPv4 address and is none", "write four numbers from 0 to 255"));
    }
    Ok(text.to_ascii_lowercase())
}
