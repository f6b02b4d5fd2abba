//! Whatever bytes come in, reading them ends with a message or a fault, and what was read stays the same.

use crate::example::Words;
use crate::messages::kinds;

/// A small generator of its own, so that a seed means the same bytes for ever (xorshift64*).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest);
        (0..length).map(|_| self.byte()).collect()
    }

    /// Does some harm to a message: bits turned, pieces cut out, doubled, put in.
    fn harm(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + self.below(16)).min(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let piece = self.bytes(12);
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

#[test]
fn no_bytes_hurt_the_reader() {
    let words = Words::current();
    let (mut read, mut refused) = (0_u32, 0_u32);
    for (name, reread) in kinds() {
        let examples = words.examples(name);
        for seed in 1..=150 {
            let mut seeded = Seeded(seed);
            let example = examples[seeded.below(examples.len())].clone();
            for bytes in [seeded.bytes(300), seeded.harm(example)] {
                match reread(&bytes) {
                    Ok(once) => {
                        read += 1;
                        assert_eq!(reread(&once).unwrap(), once, "{name}, seed {seed}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(read > 1000 && refused > 1000, "the harm is one-sided: {read} read, {refused} refused");
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_set_aside_for_it() {
    // Field 1, a text of 2^63 bytes, and nothing after it.
    let lie = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
    for (name, reread) in kinds() {
        let once = reread(&lie);
        assert!(once.is_err(), "{name}: {once:?}");
    }
}
