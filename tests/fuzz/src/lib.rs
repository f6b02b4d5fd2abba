//! Hammering what reads other people's bytes with spoilt copies of good ones.
//!
//! [`hammer`] takes examples of what is well-formed, spoils them in a few places, and has each copy looked
//! at: the look must not panic and says by asserting what else must hold. A plain test run makes
//! [`COPIES`] copies from a fixed seed, so it is the same run each time. `cargo xtask fuzz` sets
//! `FUZZ_SECONDS` and a fresh `FUZZ_SEED`; what fails is printed with the words that replay it.

mod spoil;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use spoil::Dice;

/// Copies of a run that nobody gave a time.
pub const COPIES: u64 = 20_000;
/// The longest copy, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// How long to hammer, and from where.
struct Extent {
    seed: u64,
    until: Option<Instant>,
    only: Option<u64>,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name} is {text:?}: give a number"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that lasts as long as it is told to")]
fn now() -> Instant {
    Instant::now()
}

impl Extent {
    fn of_environment() -> Self {
        Self {
            seed: number("FUZZ_SEED").unwrap_or(1),
            until: number("FUZZ_SECONDS").map(|seconds| now() + Duration::from_secs(seconds)),
            only: number("FUZZ_COPY"),
        }
    }

    fn goes_on(&self, copy: u64) -> bool {
        // The clock is asked once in a while: most looks take microseconds.
        match self.until {
            Some(until) => !copy.is_multiple_of(64) || now() < until,
            None => copy < COPIES,
        }
    }
}

/// Has spoilt copies of the examples looked at.
///
/// # Panics
/// When a look panics; the message says how to replay it.
pub fn hammer(name: &str, examples: &[Vec<u8>], look: impl Fn(&[u8])) {
    assert!(!examples.is_empty(), "{name} needs examples");
    for example in examples {
        look(example);
    }
    let extent = Extent::of_environment();
    let mut copy = extent.only.unwrap_or(0);
    while extent.goes_on(copy) || extent.only == Some(copy) {
        let mut dice = Dice::new(name, extent.seed, copy);
        let bytes = spoil::copy(&mut dice, examples);
        if catch_unwind(AssertUnwindSafe(|| look(&bytes))).is_err() {
            let text = bytes.escape_ascii().to_string();
            panic!(
                "{name} fails on copy {copy} of seed {}: {text}\nreplay with FUZZ_SEED={} FUZZ_COPY={copy}",
                extent.seed, extent.seed
            );
        }
        if extent.only.is_some() {
            break;
        }
        copy += 1;
    }
    #[expect(clippy::print_stdout, reason = "the person who fuzzes wants to know how much was tried")]
    {
        println!("{name}: {copy} copies of seed {}", extent.seed);
    }
}

/// Does the same with texts; what is no UTF-8 any more is made so.
///
/// # Panics
/// As [`hammer`].
pub fn hammer_text(name: &str, examples: &[&str], look: impl Fn(&str)) {
    let examples: Vec<Vec<u8>> = examples.iter().map(|text| text.as_bytes().to_vec()).collect();
    hammer(name, &examples, |bytes| look(&String::from_utf8_lossy(bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_fails_on_something_is_found_and_can_be_replayed() {
        let examples = [b"the quick brown fox".to_vec()];
        let look = |bytes: &[u8]| assert!(!bytes.contains(&0xff), "a byte that was not there");
        let failed = catch_unwind(|| hammer("planted", &examples, look)).unwrap_err();
        let said = failed.downcast_ref::<String>().unwrap();
        assert!(said.contains("FUZZ_COPY="), "{said}");
    }

    #[test]
    fn the_same_seed_makes_the_same_copies_and_they_differ() {
        let examples = [b"one".to_vec(), b"two and three".to_vec()];
        let made = |seed| -> Vec<Vec<u8>> {
            (0..500).map(|copy| spoil::copy(&mut Dice::new("n", seed, copy), &examples)).collect()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        let different: std::collections::BTreeSet<_> = made(1).into_iter().collect();
        assert!(different.len() > 300, "{}", different.len());
    }
}
