//! Whose certificates are believed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const SYSTEM: &str = "system";
const DIGEST: &str = "sha256:";

/// The authorities that a peer's chain has to lead to, so that two lists of them can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Authorities {
    /// Those that the agent's machine trusts.
    System,
    /// Those that the integration's settings give, by their SHA-256.
    Given([u8; 32]),
}

/// Why a text names no authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no authorities: give system, or sha256: with 64 hexadecimal digits")]
pub struct AuthoritiesFault {
    text: String,
}

impl Authorities {
    /// Takes the SHA-256 of certificates.
    pub const fn of_digest(digest: [u8; 32]) -> Self {
        Self::Given(digest)
    }
}

impl fmt::Display for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str(SYSTEM),
            Self::Given(digest) => {
                f.write_str(DIGEST)?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl FromStr for Authorities {
    type Err = AuthoritiesFault;
    fn from_str(text: &str) -> Result<Self, AuthoritiesFault> {
        if text == SYSTEM {
            return Ok(Self::System);
        }
        let digest = || {
            let hex = text.strip_prefix(DIGEST)?.as_bytes();
            let mut digest = [0; 32];
            if hex.len() != 2 * digest.len() {
                return None;
            }
            for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
                let [high, low] = [pair.first()?, pair.last()?].map(|digit| char::from(*digit).to_digit(16));
                *byte = u8::try_from(high? * 16 + low?).ok()?;
            }
            Some(Self::Given(digest))
        };
        digest().ok_or_else(|| AuthoritiesFault { text: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for Authorities {
    type Error = AuthoritiesFault;
    fn try_from(text: String) -> Result<Self, AuthoritiesFault> {
        text.parse()
    }
}

impl From<Authorities> for String {
    fn from(authorities: Authorities) -> Self {
        authorities.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_are_written() {
        let given = Authorities::of_digest(std::array::from_fn(|n| n as u8));
        assert!(given.to_string().starts_with("sha256:000102"), "{given}");
        for authorities in [Authorities::System, given] {
            assert_eq!(authorities.to_string().parse(), Ok(authorities.clone()));
            let text = serde_json::to_string(&authorities).unwrap();
            assert_eq!(serde_json::from_str::<Authorities>(&text).unwrap(), authorities);
        }
        let long = format!("sha256:{}", "0".repeat(66));
        for text in
            ["", "System", "sha256:", "sha256:00", &long, &format!("sha256:{}", "+1".repeat(32)), "md5:0"]
        {
            assert!(text.parse::<Authorities>().is_err(), "{text}");
        }
    }
}
