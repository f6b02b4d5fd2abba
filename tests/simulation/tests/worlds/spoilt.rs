//! Spoilt records of a journal: refused by name, or a book that can be asked on.

use model::{ConnectorId, Position, Span, Timestamp};
use rules::{Book, Reading};

use crate::bench::{Bench, START, desk};
use model::{Ownership, Policy};

#[test]
fn fuzz_journal_records() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    for (access, names, mins) in [("a", ["orders"], 30), ("b", ["stock"], 60)] {
        let actions = bench.put(access, "ann", &names, mins);
        bench.well(actions);
    }
    let closing = bench.pass(30 * 60);
    bench.well(closing);
    let rows = bench.journal.load_now().unwrap().rows;
    for (spoilt, row) in rows.iter().enumerate() {
        fuzz::hammer_text(&format!("journal records, {:?}", row.table), &[&row.body], |body| {
            let rows = rows.iter().enumerate().map(|(n, row)| {
                (row.table, row.key.as_str(), if n == spoilt { body } else { row.body.as_str() })
            });
            let reading = Reading { wall: Timestamp::from_secs(START), monotonic: Span::from_secs(0) };
            let connector = ConnectorId::parse("bench").unwrap();
            let restored =
                Book::restore(connector, Box::new(desk(Ownership::Owned)), rows, Position(99), 7, reading);
            // What is read is told in words that fit the record, or the book goes on.
            match restored {
                Err(fault) => assert!(!fault.to_string().is_empty()),
                Ok(book) => drop(book.poll_timeout()),
            }
        });
    }
}
