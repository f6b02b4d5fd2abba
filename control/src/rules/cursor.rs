//! Numbered reports: which are new, which came before, and when one is missing.

use model::Position;

/// How a numbered report stands to what has been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Committed before: dropped, and acknowledged again.
    Before,
    /// The next one: to be committed.
    Next,
    /// One or more are missing in between: refused.
    Gap { expected: Position },
}

/// Places a report after `committed`.
pub fn place(committed: Position, report: Position) -> Place {
    let expected = committed.next();
    match report.cmp(&expected) {
        std::cmp::Ordering::Less => Place::Before,
        std::cmp::Ordering::Equal => Place::Next,
        std::cmp::Ordering::Greater => Place::Gap { expected },
    }
}
