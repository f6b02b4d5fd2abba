//! Hosts and families of hosts, each in one spelling.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    #[error("it is empty: give a name or an address")]
    Empty,
    #[error("it has {len} bytes: a host has at most 253")]
    TooLong { len: usize },
    #[error("{text:?} is no host: give a name, an IPv4 or an IPv6 address, without scheme and port")]
    NotAHost { text: String },
    #[error(
        "{text:?} is no family of hosts: `*` stands for the whole first part, and two parts follow it, for example *.db.example.com"
    )]
    Wildcard { text: String },
}

/// One host, or `*.` and a domain for every host directly below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a host or a family of hosts.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        let Some(domain) = text.strip_prefix("*.") else { return Self::exact(text) };
        let wildcard = || HostFault::Wildcard { text: text.into() };
        let domain = Self::exact(domain).map_err(|_| wildcard())?.0;
        if domain.contains('.') && domain.parse::<IpAddr>().is_err() {
            Ok(Self(format!("*.{domain}")))
        } else {
            Err(wildcard())
        }
    }

    /// Reads one host.
    ///
    /// # Errors
    /// When it is none, or a family.
    pub fn exact(text: &str) -> Result<Self, HostFault> {
        if text.is_empty() {
            return Err(HostFault::Empty);
        }
        if text.len() > 254 {
            return Err(HostFault::TooLong { len: text.len() });
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        if name.split('.').all(label) {
            Ok(Self(name))
        } else {
            Err(HostFault::NotAHost { text: text.into() })
        }
    }

    /// Returns true when the host is this one, or one of this family.
    pub fn admits(&self, host: &str) -> bool {
        let Ok(host) = Self::exact(host) else { return false };
        match self.0.strip_prefix("*.") {
            None => self.0 == host.0,
            Some(domain) => host.0.split_once('.').is_some_and(|(_, below)| below == domain),
        }
    }

    /// Returns it in its one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostPattern {
    type Err = HostFault;
    fn from_str(text: &str) -> Result<Self, HostFault> {
        Self::parse(text)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostFault;
    fn try_from(text: String) -> Result<Self, HostFault> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_spelling() {
        let table = [
            ("db.example.com", Some("db.example.com")),
            ("DB.Example.Com.", Some("db.example.com")),
            ("localhost", Some("localhost")),
            ("with_underscore.local", Some("with_underscore.local")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("2001:DB8:0:0::1", Some("2001:db8::1")),
            ("xn--bse-sna.example", Some("xn--bse-sna.example")),
            ("*.example.com", Some("*.example.com")),
            ("*.com", None),
            ("*", None),
            ("*.", None),
            ("*.10.0.0.1", None),
            ("a.*.example.com", None),
            ("db*.example.com", None),
            ("", None),
            (".", None),
            ("a..b", None),
            ("-a.b", None),
            ("a b", None),
            ("a/b", None),
            ("user@db", None),
            ("db:5432", None),
            ("böse.example", None),
            ("a\nb", None),
        ];
        for (text, spelling) in table {
            assert_eq!(HostPattern::parse(text).ok().as_ref().map(HostPattern::as_str), spelling, "{text:?}");
        }
        assert!(HostPattern::parse(&"a".repeat(300)).is_err());
    }
}
