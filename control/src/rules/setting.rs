//! What an agent's manifest says of a setting's text: an admin hears at once what the agent would refuse later.
//!
//! A text that the agent would take is never refused here. What only its driver can know, for example whether two
//! settings go together, comes later, as the integration's health. A refusal never repeats the text: it may be a secret
//! in the wrong field.

use std::net::{IpAddr, Ipv6Addr};

use model::Span;
use serde::{Deserialize, Serialize};

/// Longest name of a host, in bytes.
const LONGEST_HOST: usize = 253;

/// What a setting's text must look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum Format {
    /// As any text; also one that only a newer build knows.
    #[default]
    Any,
    /// A text of at most so many bytes.
    Text {
        max_bytes: u32,
    },
    Host,
    Port,
    Choice {
        allowed: Vec<String>,
    },
    /// Within limits, both included.
    Whole {
        least: u64,
        most: u64,
    },
    Flag,
    Duration,
    Pem,
}

/// Why a text does not fit, and what would.
pub type Misfit = (String, String);

impl Format {
    /// Returns why a text does not fit. Blank ones count as not given and always do; blanks around one do not matter.
    pub fn misfit(&self, text: &str) -> Option<Misfit> {
        let text = text.trim();
        let may_have_lines = matches!(self, Self::Pem | Self::Any);
        if text.is_empty() {
            return None;
        }
        if !may_have_lines && text.chars().any(char::is_control) {
            return misfit("it has a control character", "write it in one line");
        }
        let number = || text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match self {
            Self::Any => None,
            Self::Text { max_bytes } if text.len() as u64 <= u64::from(*max_bytes) => None,
            Self::Text { max_bytes } => misfit("it is too long", format!("the most is {max_bytes} bytes")),
            Self::Host if is_host(text) => None,
            Self::Host => misfit(
                "it is neither a host name nor an IP address",
                "give only the host, without scheme, user, port or path; names beyond ASCII in their `xn--` form",
            ),
            Self::Port if number().is_some_and(|port| (1..=65_535).contains(&port)) => None,
            Self::Port => misfit("it is not a port", "give a whole number from 1 to 65535"),
            Self::Choice { allowed } if allowed.iter().any(|word| word == text) => None,
            Self::Choice { allowed } => {
                misfit("it is none of the allowed words", format!("use one of: {}", allowed.join(", ")))
            }
            Self::Whole { least, most } if number().is_some_and(|n| (*least..=*most).contains(&n)) => None,
            Self::Whole { least, most } => {
                misfit("it is out of its limits", format!("give a whole number from {least} to {most}"))
            }
            Self::Flag if matches!(text, "true" | "false") => None,
            Self::Flag => misfit("it is neither yes nor no", "write `true` or `false`"),
            Self::Duration if text.parse::<Span>().is_ok() => None,
            Self::Duration => {
                misfit("it is not a length of time", "write a number and a unit, for example 90m, 8h, 45s")
            }
            Self::Pem if text.contains("PRIVATE KEY-----") => {
                misfit("it holds a private key", "give certificates only; keys go to the secret")
            }
            Self::Pem if text.contains("-----BEGIN ") && text.contains("-----END ") => None,
            Self::Pem => misfit("it is not in PEM form", "paste it whole, with its BEGIN and END lines"),
        }
    }
}

fn misfit(reason: &str, way_out: impl Into<String>) -> Option<Misfit> {
    Some((reason.to_owned(), way_out.into()))
}

/// A DNS name in ASCII or an address; IPv6 may stand in brackets.
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(of_names);
    text.len() <= LONGEST_HOST && text.split('.').all(is_label)
}
