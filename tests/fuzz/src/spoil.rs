//! Spoiling: a few small changes of the kinds that break readers.

use crate::LONGEST;

/// Numbers that differ for every name, seed and copy, and are the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(name: &str, seed: u64, copy: u64) -> Self {
        let mut state = seed ^ copy.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(state)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, 0 when that is 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// What often means something to readers of text, of JSON, of SQL, of lengths.
const WORDS: [&[u8]; 26] = [
    b"\0",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"://",
    b"#",
    b"\n",
    b"\r\n",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"\xff\xff\xff\xff\x0f",
    b"\x80",
    b"$$",
    b"--",
    b"/*",
    b"%s",
    "\u{202e}".as_bytes(),
    "\u{0}\u{fffd}".as_bytes(),
];

/// Makes a spoilt copy of one of the examples.
pub(crate) fn copy(dice: &mut Dice, examples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = pick(dice, examples).to_vec();
    for _ in 0..=dice.below(4) {
        change(dice, &mut bytes, examples);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn pick<'e>(dice: &mut Dice, examples: &'e [Vec<u8>]) -> &'e [u8] {
    examples.get(dice.below(examples.len())).map_or(&[], Vec::as_slice)
}

fn change(dice: &mut Dice, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
    let at = dice.below(bytes.len());
    let end = (at + 1 + dice.below(16)).min(bytes.len());
    match dice.below(9) {
        0 => {
            let bit = 1 << dice.below(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
        1 => {
            let byte = dice.byte();
            if let Some(there) = bytes.get_mut(at) {
                *there = byte;
            }
        }
        2 => drop(bytes.drain(at.min(end)..end)),
        3 => {
            let twice = bytes.get(at..end).unwrap_or_default().to_vec();
            insert(bytes, at, &twice);
        }
        4 => bytes.truncate(at),
        5 => {
            let word = WORDS.get(dice.below(WORDS.len())).copied().unwrap_or_default();
            insert(bytes, at, word);
        }
        6 => {
            let word = WORDS.get(dice.below(WORDS.len())).copied().unwrap_or_default();
            drop(bytes.splice(at.min(end)..end, word.iter().copied()));
        }
        7 => {
            let other = pick(dice, examples);
            let from = dice.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        _ => {
            let count = dice.below(64);
            let byte = dice.byte();
            insert(bytes, at, &vec![byte; count]);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    let at = at.min(bytes.len());
    drop(bytes.splice(at..at, what.iter().copied()));
}
