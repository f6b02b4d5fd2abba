//! Random texts.

use rand::RngExt as _;

/// A password of letters and digits.
pub fn password() -> String {
    word(32, b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789")
}

/// A word that can stand in an id, a host's name or a table's.
pub fn plain(length: usize) -> String {
    word(length, b"abcdefghijkmnopqrstuvwxyz")
}

fn word(length: usize, letters: &[u8]) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect()
}
