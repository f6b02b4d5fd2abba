//! SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677): what a target stores instead of a password.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Code, Failure, Secret, Verifier};
use zeroize::Zeroizing;

/// How many rounds a verifier has unless the target wants more; some clients refuse fewer.
pub const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(iterations) => iterations,
    None => NonZeroU32::MIN,
};
/// How long a fresh salt is.
pub const SALT_BYTES: usize = 16;

const KEY_BYTES: usize = 32;

/// A verifier in parts; each target has its own way to write them.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSha256 {
    pub iterations: NonZeroU32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; KEY_BYTES],
    pub server_key: [u8; KEY_BYTES],
}

impl ScramSha256 {
    /// Computes the verifier of a credential, with a fresh salt.
    ///
    /// # Errors
    /// When the system gives no randomness, and for text outside printable ASCII, whose normal form clients
    /// disagree on; [`generate`](super::generate) makes no such text.
    pub fn of(clear: &Secret, iterations: NonZeroU32) -> Result<Self, Failure> {
        let mut salt = vec![0; SALT_BYTES];
        super::random(&mut salt)?;
        Self::with_salt(clear, salt, iterations)
    }

    /// Computes the verifier of a credential under a given salt.
    ///
    /// # Errors
    /// For text outside printable ASCII.
    pub fn with_salt(clear: &Secret, salt: Vec<u8>, iterations: NonZeroU32) -> Result<Self, Failure> {
        if clear.is_empty() || !clear.expose().bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(Failure::refused(
                Code::DRIVER_FAULT,
                "no verifier for a credential that is empty or not printable ASCII: generate another",
            ));
        }
        let mut salted = Zeroizing::new([0_u8; KEY_BYTES]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            clear.expose().as_bytes(),
            salted.as_mut_slice(),
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
        let client_key = hmac::sign(&key, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let server_key = hmac::sign(&key, b"Server Key");
        Ok(Self {
            iterations,
            salt,
            stored_key: first_bytes(stored_key.as_ref()),
            server_key: first_bytes(server_key.as_ref()),
        })
    }

    /// Writes the verifier as PostgreSQL stores it.
    pub fn in_postgres_form(&self) -> Verifier {
        Verifier(format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key),
        ))
    }

    /// Reads a verifier in PostgreSQL's form.
    pub fn from_postgres_form(verifier: &Verifier) -> Option<Self> {
        let (head, keys) = verifier.0.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored_key).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server_key).ok()?.try_into().ok()?,
        })
    }

    /// Returns true when this is the verifier of that credential: what a target asks at a login.
    pub fn accepts(&self, clear: &Secret) -> bool {
        Self::with_salt(clear, self.salt.clone(), self.iterations).is_ok_and(|other| other == *self)
    }
}

impl std::fmt::Debug for ScramSha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramSha256({} rounds, …)", self.iterations)
    }
}

/// Returns a digest as an array; both digests here have exactly that length.
fn first_bytes(digest: &[u8]) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3: user `user`, password `pencil`. The server's signature in it is
    /// made with the server key, and the client's proof opens to the stored key.
    #[test]
    fn the_known_exchange_is_reproduced() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let scram = ScramSha256::with_salt(&Secret::new("pencil".into()), salt, ITERATIONS).unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signed = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        let server = signed(&scram.server_key);
        assert_eq!(STANDARD.encode(server.as_ref()), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = signed(&scram.stored_key);
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), scram.stored_key);
    }

    #[test]
    fn the_text_form_round_trips_and_hides_itself() {
        let secret = super::super::generate().unwrap();
        let scram = ScramSha256::of(&secret, ITERATIONS).unwrap();
        let text = scram.in_postgres_form();
        assert!(text.0.starts_with("SCRAM-SHA-256$4096:"), "{}", text.0);
        assert_eq!(ScramSha256::from_postgres_form(&text).unwrap(), scram);
        assert!(scram.accepts(&secret));
        assert!(!scram.accepts(&super::super::generate().unwrap()));
        assert_ne!(ScramSha256::of(&secret, ITERATIONS).unwrap(), scram, "each has its own salt");
        assert!(!format!("{scram:?}").contains(&STANDARD.encode(scram.stored_key)));
        for text in ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:AA==$AA==:AA==", "md5abc"] {
            assert!(ScramSha256::from_postgres_form(&Verifier(text.into())).is_none(), "{text}");
        }
    }

    #[test]
    fn text_that_clients_normalise_differently_is_refused() {
        for text in ["", "pässword", "tab\t", "nul\0"] {
            assert!(ScramSha256::of(&Secret::new(text.into()), ITERATIONS).is_err(), "{text:?}");
        }
    }
}
