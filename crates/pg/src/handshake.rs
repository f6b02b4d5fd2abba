//! Why a TLS handshake came to nothing, in words for people.
//!
//! What it promises: a text of our own for each cause that somebody can mend, and no byte that the server chose. What it
//! leaves to others: which setting mends it.

use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

const DAY: u64 = 24 * 60 * 60;
/// How much of a rare cause's own words is told.
const MOST: usize = 160;

/// What kept a handshake from coming to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFault {
    #[error("the server's certificate leads to no authority that is believed (unknown issuer)")]
    UnknownIssuer,
    /// A certificate of that name is believed, and is not the one that signed.
    #[error("the server's certificate is not signed by the authority that it names")]
    BadSignature,
    /// The name that was looked for.
    #[error("the server's certificate is not valid for the name `{0}`")]
    OtherName(String),
    /// Whole days ago.
    #[error("the server's certificate has expired ({})", ago(*.0))]
    Expired(Option<u64>),
    /// In so many whole days.
    #[error("the server's certificate is not yet valid ({})", ahead(*.0))]
    NotYetValid(Option<u64>),
    /// It says that it is an authority (`CA:TRUE`), which no server's certificate may.
    #[error("the server's certificate is an authority's own (CA:TRUE) and not one for a server")]
    Authority,
    #[error("the server's certificate is not made for servers (extended key usage)")]
    Purpose,
    #[error("the server's certificate cannot be read")]
    Unreadable,
    #[error("the server's certificate is signed in a way that is not accepted here")]
    Algorithm,
    #[error("no TLS version or cipher is common with the server")]
    NothingCommon,
    #[error("what the server answered is not TLS")]
    NotTls,
    #[error("the server's address cannot stand in a certificate")]
    NoName,
    /// The library's own words, escaped and cut.
    #[error("the TLS handshake failed ({0})")]
    Other(String),
}

impl HandshakeFault {
    /// Takes the cause out of what the stream says.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(cause) => Self::sorted(cause),
            None if error.kind() == io::ErrorKind::InvalidInput => Self::NoName,
            None => Self::Other(plain(error)),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's list grows; what has no line here is told in its words"
    )]
    fn sorted(cause: &Error) -> Self {
        match cause {
            Error::InvalidCertificate(refusal) => Self::certificate(refusal),
            Error::NoCertificatesPresented => Self::Other("the server shows no certificate".into()),
            Error::PeerIncompatible(
                PeerIncompatible::NoCipherSuitesInCommon
                | PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NoSignatureSchemesInCommon
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )
            | Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            ) => Self::NothingCommon,
            Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Other(plain(other)),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's list grows; what has no line here is told in its words"
    )]
    fn certificate(refusal: &CertificateError) -> Self {
        match refusal {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::NotValidForNameContext { expected, .. } => {
                Self::OtherName(plain(expected.to_str()))
            }
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { time, not_after } => Self::Expired(days(*not_after, *time)),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid(days(*time, *not_before))
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            CertificateError::BadEncoding => Self::Unreadable,
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Self::Algorithm,
            CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => Self::Authority,
                _ => Self::Other(plain(&other.0)),
            },
            other => Self::Other(plain(other)),
        }
    }
}

fn days(from: UnixTime, to: UnixTime) -> Option<u64> {
    to.as_secs().checked_sub(from.as_secs()).map(|seconds| seconds / DAY)
}

fn ago(days: Option<u64>) -> String {
    match days {
        None => "look at its dates".into(),
        Some(0) => "less than a day ago".into(),
        Some(days) => format!("{days} days ago"),
    }
}

fn ahead(days: Option<u64>) -> String {
    match days {
        None => "look at its dates".into(),
        Some(0) => "it begins in less than a day".into(),
        Some(days) => format!("it begins in {days} days"),
    }
}

/// A text that stays one short line.
fn plain(text: impl ToString) -> String {
    text.to_string().escape_debug().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::OtherError;
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn each_cause_is_told() {
        let at = |days| UnixTime::since_unix_epoch(Duration::from_secs(days * DAY));
        let of = |refusal: CertificateError| Error::InvalidCertificate(refusal);
        let name = |presented: &str| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("db.example.org").unwrap_or_else(|_| unreachable!()),
            presented: vec![presented.into()],
        };
        let table = [
            (of(CertificateError::UnknownIssuer), "unknown issuer"),
            (of(CertificateError::BadSignature), "not signed by the authority"),
            (of(name("\u{1b}[31mbait")), "not valid for the name `db.example.org`"),
            (of(CertificateError::ExpiredContext { time: at(9), not_after: at(2) }), "expired (7 days ago)"),
            (of(CertificateError::ExpiredContext { time: at(2), not_after: at(2) }), "less than a day ago"),
            (of(CertificateError::NotValidYetContext { time: at(2), not_before: at(5) }), "begins in 3 days"),
            (of(CertificateError::Other(OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity)))), "CA:TRUE"),
            (
                of(CertificateError::Other(OtherError(Arc::new(io::Error::other("a\nb\u{1b}"))))),
                "a\\nb\\u{1b}",
            ),
            (of(CertificateError::InvalidPurpose), "extended key usage"),
            (of(CertificateError::BadEncoding), "cannot be read"),
            (Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), "no TLS version or cipher"),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "no TLS version or cipher",
            ),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "no TLS version or cipher"),
            (Error::General("x".repeat(10_000)), "the TLS handshake failed"),
        ];
        for (cause, words) in table {
            let told = HandshakeFault::of(&io::Error::new(io::ErrorKind::InvalidData, cause)).to_string();
            assert!(told.contains(words), "{words}: {told}");
            assert!(told.len() < 300 && !told.contains("bait") && !told.contains(char::is_control), "{told}");
        }
    }
}
