//! The grantee's credential: made from the operating system's randomness, and turned into a verifier.
//!
//! What [`generate`] makes satisfies the password rules of every target by construction and needs no
//! quoting in SQL literals, URLs, connection strings or shells. Sealing it to the grantee is for `seal`.

mod scram;

use model::{Code, Failure, Secret};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

pub use scram::{ITERATIONS, SALT_BYTES, ScramSha256};

/// How long a credential is: about 165 bits of chance.
pub const LENGTH: usize = 28;

/// 64 characters, so that six random bits choose one without bias.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// Least number of characters of each class: lower, upper, digit, special.
const LEAST_OF_EACH: usize = 2;

/// How often drawing is repeated; one draw in six is good, so this many bad ones mean broken randomness.
const MOST_DRAWS: usize = 1_000;

/// Makes a new credential.
///
/// All texts that satisfy [`is_well_formed`] are equally likely: a draw that does not is thrown away whole.
///
/// # Errors
/// When the system gives no randomness, or none that deserves the name.
pub fn generate() -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    for _ in 0..MOST_DRAWS {
        random(bytes.as_mut_slice())?;
        let drawn: Zeroizing<String> = Zeroizing::new(
            bytes
                .iter()
                .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)))
                .copied()
                .map(char::from)
                .collect(),
        );
        if is_well_formed(&drawn) {
            return Ok(Secret::new(drawn.as_str().to_owned()));
        }
    }
    Err(no_randomness("the randomness of this system repeats itself"))
}

/// Returns true for what [`generate`] may make: the length, the alphabet, two characters of each class, a
/// letter first, no character three times in a row.
pub fn is_well_formed(text: &str) -> bool {
    let count = |class: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| class(byte)).count();
    text.len() == LENGTH
        && text.bytes().all(|byte| ALPHABET.contains(&byte))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && count(u8::is_ascii_lowercase) >= LEAST_OF_EACH
        && count(u8::is_ascii_uppercase) >= LEAST_OF_EACH
        && count(u8::is_ascii_digit) >= LEAST_OF_EACH
        && count(|byte| matches!(byte, b'_' | b'-')) >= LEAST_OF_EACH
        && !text.as_bytes().windows(3).any(|three| matches!(three, [a, b, c] if a == b && b == c))
}

/// Fills a buffer from the operating system.
fn random(buffer: &mut [u8]) -> Result<(), Failure> {
    SysRng.try_fill_bytes(buffer).map_err(|_| no_randomness("this system gives no randomness"))
}

fn no_randomness(detail: &str) -> Failure {
    Failure::not_done(Code::NO_RANDOMNESS, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_credential_is_well_formed_and_new() {
        let mut seen = BTreeSet::new();
        for _ in 0..2_000 {
            let secret = generate().unwrap();
            assert!(is_well_formed(secret.expose()));
            assert!(seen.insert(secret.expose().to_owned()), "twice the same");
        }
    }

    #[test]
    fn the_rules_are_told_apart() {
        let good = "aB3_cD4-eFgHiJkLmNoPqRsTuVwX";
        let table = [
            ("good", good.to_owned(), true),
            ("short", good.chars().skip(1).collect(), false),
            ("long", format!("{good}x"), false),
            ("begins with a digit", good.replacen("aB3", "3Ba", 1), false),
            ("one special", good.replace('-', "x"), false),
            ("one digit", good.replace('4', "x"), false),
            ("three alike", good.replace("eFg", "eee"), false),
            ("no lower case", good.to_ascii_uppercase(), false),
            ("no upper case", good.to_ascii_lowercase(), false),
            ("foreign character", good.replace('X', "'"), false),
        ];
        for (name, text, expected) in table {
            assert_eq!(is_well_formed(&text), expected, "{name}");
        }
    }

    /// With 20,000 credentials a letter is expected some 8,000 times; a bias of a quarter shows.
    #[test]
    fn no_character_is_favoured() {
        let mut counts: BTreeMap<char, u32> = BTreeMap::new();
        for _ in 0..20_000 {
            for c in generate().unwrap().expose().chars().skip(1).filter(char::is_ascii_alphabetic) {
                *counts.entry(c).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 52);
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(*most < least + least / 4, "{counts:?}");
    }
}
