//! The numbered chains of a journal: which report and which receipts come next.
//!
//! Pure. Every journal asks [`Chains::check`] before it writes, so that all refuse the same batches, and
//! [`Chains::advance`] once the batch counts as written. Whether it is on disk is for the journal to say.

use std::collections::BTreeMap;

use model::durable::{Batch, Write};
use model::{IntegrationId, Position};

use crate::{Chain, JournalFault, LARGEST_BODY, LONGEST_KEY};

/// The last number of every chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chains {
    pub last_report: Position,
    pub committed: Position,
    pub receipts: BTreeMap<IntegrationId, u64>,
}

/// Where the chains stand after one batch.
#[derive(Debug)]
pub struct Advance {
    last_report: Position,
    committed: Position,
    receipts: Vec<(IntegrationId, u64)>,
}

impl Chains {
    /// Returns where the chains stand after the batch.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn check(&self, batch: &Batch) -> Result<Advance, JournalFault> {
        let mut after =
            Advance { last_report: self.last_report, committed: self.committed, receipts: vec![] };
        for write in &batch.writes {
            match write {
                Write::Put { key, body, .. } => {
                    fit_key(key)?;
                    fit_body(body)?;
                }
                Write::Forget { key, .. } => fit_key(key)?,
                Write::Report { position, body } => {
                    follows(Chain::Reports, after.last_report.0, position.0)?;
                    fit_body(body)?;
                    after.last_report = *position;
                }
                Write::ReportsCommitted { through } => {
                    if *through > after.last_report {
                        return Err(JournalFault::OutOfOrder {
                            chain: Chain::Committed,
                            expected: after.last_report.0,
                            found: through.0,
                        });
                    }
                    after.committed = after.committed.max(*through);
                }
                Write::Receipt { integration, number, body } => {
                    let last = after.receipts.iter().rfind(|(chain, _)| chain == integration);
                    let last = last.map(|(_, last)| *last).unwrap_or_else(|| self.last_receipt(integration));
                    follows(Chain::Receipts(integration.clone()), last, *number)?;
                    fit_body(body)?;
                    after.receipts.push((integration.clone(), *number));
                }
            }
        }
        Ok(after)
    }

    /// Takes the batch that was checked as written.
    pub fn advance(&mut self, after: Advance) {
        self.last_report = after.last_report;
        self.committed = after.committed;
        self.receipts.extend(after.receipts);
    }

    /// Returns where the chains stand when uncommitted reports are numbered from 1 again.
    pub fn renumbered(&self) -> Self {
        Self {
            last_report: Position(self.uncommitted()),
            committed: Position(0),
            receipts: self.receipts.clone(),
        }
    }

    /// Returns how many reports are not committed yet.
    pub const fn uncommitted(&self) -> u64 {
        self.last_report.0.saturating_sub(self.committed.0)
    }

    /// Returns how many receipts there are: each chain begins at 1 and has no gap.
    pub fn receipt_count(&self) -> u64 {
        self.receipts.values().sum()
    }

    fn last_receipt(&self, integration: &IntegrationId) -> u64 {
        self.receipts.get(integration).copied().unwrap_or(0)
    }
}

fn follows(chain: Chain, last: u64, found: u64) -> Result<(), JournalFault> {
    let expected = last.saturating_add(1);
    if found == expected { Ok(()) } else { Err(JournalFault::OutOfOrder { chain, expected, found }) }
}

fn fit_key(key: &str) -> Result<(), JournalFault> {
    let fault = |reason: String| {
        Err(JournalFault::Unfit {
            what: format!("the key {:?}", key.chars().take(64).collect::<String>()),
            reason,
        })
    };
    if key.len() > LONGEST_KEY {
        return fault(format!("it has {} bytes and the most is {LONGEST_KEY}", key.len()));
    }
    if key.contains('\0') {
        return fault("it has a NUL, which tools that look inside would cut it at".into());
    }
    Ok(())
}

fn fit_body(body: &str) -> Result<(), JournalFault> {
    let fault = |reason: String| Err(JournalFault::Unfit { what: "a body".into(), reason });
    if body.len() > LARGEST_BODY {
        return fault(format!("it has {} bytes and the most is {LARGEST_BODY}", body.len()));
    }
    if body.contains('\0') {
        return fault("it has a NUL, which JSON writes as \\u0000".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BatchId;
    use model::durable::Table;

    fn report(position: u64) -> Write {
        Write::Report { position: Position(position), body: "{}".into() }
    }

    fn committed(through: u64) -> Write {
        Write::ReportsCommitted { through: Position(through) }
    }

    fn receipt(chain: &str, number: u64) -> Write {
        Write::Receipt { integration: IntegrationId::parse(chain).unwrap(), number, body: "{}".into() }
    }

    fn put(key: String, body: String) -> Write {
        Write::Put { table: Table::Meta, key, body }
    }

    #[test]
    fn only_what_continues_a_chain_is_kept() {
        let chains = Chains {
            last_report: Position(4),
            committed: Position(2),
            receipts: BTreeMap::from([(IntegrationId::parse("a").unwrap(), 7)]),
        };
        let table = [
            ("nothing", vec![], None),
            ("the next report", vec![report(5)], None),
            ("the next two", vec![report(5), report(6)], None),
            ("a report again", vec![report(4)], Some((5, 4))),
            ("a gap", vec![report(6)], Some((5, 6))),
            ("a gap inside", vec![report(5), report(7)], Some((6, 7))),
            ("committed", vec![committed(4)], None),
            ("committed again", vec![committed(1)], None),
            ("committed what comes with it", vec![report(5), committed(5)], None),
            ("committed what never was", vec![committed(5)], Some((4, 5))),
            ("the next receipt", vec![receipt("a", 8), receipt("b", 1), receipt("a", 9)], None),
            ("a receipt again", vec![receipt("a", 8), receipt("a", 8)], Some((9, 8))),
            ("a chain that begins late", vec![receipt("b", 2)], Some((1, 2))),
            ("a chain that begins at nothing", vec![receipt("b", 0)], Some((1, 0))),
        ];
        for (name, writes, refused) in table {
            match (chains.check(&Batch { id: BatchId(1), writes }), refused) {
                (Ok(_), None) => {}
                (Err(JournalFault::OutOfOrder { expected, found, .. }), Some(wanted)) => {
                    assert_eq!((expected, found), wanted, "{name}");
                }
                (got, wanted) => panic!("{name}: got {got:?}, wanted {wanted:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_name() {
        let table = [
            ("an empty key", put(String::new(), "{}".into()), true),
            ("the longest key", put("k".repeat(LONGEST_KEY), "{}".into()), true),
            ("a longer key", put("k".repeat(LONGEST_KEY + 1), "{}".into()), false),
            ("a NUL in a key", put("a\0b".into(), "{}".into()), false),
            ("a NUL in a body", put("a".into(), "{\0}".into()), false),
            ("quotes and newlines", put("'\"`\n;--".into(), "{}".into()), true),
            ("the largest body", put("a".into(), "b".repeat(LARGEST_BODY)), true),
            ("a larger body", put("a".into(), "b".repeat(LARGEST_BODY + 1)), false),
        ];
        for (name, write, kept) in table {
            let got = Chains::default().check(&Batch { id: BatchId(1), writes: vec![write] });
            match got {
                Ok(_) => assert!(kept, "{name} was kept"),
                Err(JournalFault::Unfit { .. }) => assert!(!kept, "{name} was refused"),
                Err(other) => panic!("{name}: {other:?}"),
            }
        }
    }
}
