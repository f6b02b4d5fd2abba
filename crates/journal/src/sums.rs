//! The checksum that stands beside everything a journal keeps, for journals here and in other packages.
//!
//! A database finds a broken page; it does not always find a bit that fell over inside a text, and such
//! a bit can move a deadline. The sum covers the place as well as the body, so that a row that turns up
//! in another's place is found, too. It guards against accidents, not against a forger: whoever can write
//! the place can write the sum.

use crc32fast::Hasher;
use model::Position;
use model::durable::Table;

fn sum(parts: &[&[u8]]) -> i64 {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
        // No part holds a NUL, so "ab" + "c" and "a" + "bc" differ.
        hasher.update(&[0]);
    }
    i64::from(hasher.finalize())
}

/// Returns the sum of a row.
pub fn of_row(table: Table, key: &str, body: &str) -> i64 {
    sum(&[table.word().as_bytes(), key.as_bytes(), body.as_bytes()])
}

/// Returns the sum of a report.
pub fn of_report(position: Position, body: &str) -> i64 {
    sum(&[b"report", position.to_string().as_bytes(), body.as_bytes()])
}

/// Returns the sum of a receipt.
pub fn of_receipt(integration: &str, number: u64, body: &str) -> i64 {
    sum(&[b"receipt", integration.as_bytes(), number.to_string().as_bytes(), body.as_bytes()])
}

/// Returns the sum of what says which life this is.
pub fn of_head(incarnation: &str, committed: u64) -> i64 {
    sum(&[b"head", incarnation.as_bytes(), committed.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_knows_its_place() {
        let here = of_row(Table::Account, "ab", "c");
        let table = [
            ("another table", of_row(Table::Meta, "ab", "c")),
            ("another key", of_row(Table::Account, "a", "bc")),
            ("another body", of_row(Table::Account, "ab", "d")),
        ];
        for (name, other) in table {
            assert_ne!(here, other, "{name}");
        }
        assert_ne!(of_report(Position(1), "a"), of_report(Position(2), "a"));
        assert_ne!(of_receipt("a", 1, "b"), of_receipt("a", 2, "b"));
        assert_ne!(of_head("a", 1), of_head("a", 2));
        // The sum is part of the format: it must never come out otherwise.
        assert_eq!(here, 1_993_919_839);
    }
}
