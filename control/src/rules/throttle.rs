//! Slowing down those who guess tokens: a budget of misses for each source address.
//!
//! A miss costs [`COST`]; a source may be [`BURST`] ahead of time, then it waits. A whole IPv6 /64 is one
//! source. The table is bounded; when it is full, the source that owes least is forgotten.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use model::{Span, Timestamp};

/// What one miss costs in time.
pub const COST: Span = Span::from_secs(6);
/// How far ahead of time a source may be: ten misses at once.
pub const BURST: Span = Span::from_secs(60);
/// Most sources that are remembered.
pub const MOST_SOURCES: usize = 10_000;

/// The misses of all sources.
#[derive(Debug, Default)]
pub struct Throttle {
    owes_until: BTreeMap<IpAddr, Timestamp>,
}

impl Throttle {
    /// Returns how long the source must wait before it may try again.
    pub fn wait(&self, source: IpAddr, now: Timestamp) -> Option<Span> {
        let until = *self.owes_until.get(&prefix(source))?;
        let wait = until.minus(BURST).since(now);
        (wait > Span::ZERO).then_some(wait)
    }

    /// Counts a miss.
    pub fn missed(&mut self, source: IpAddr, now: Timestamp) {
        let source = prefix(source);
        if self.owes_until.len() >= MOST_SOURCES && !self.owes_until.contains_key(&source) {
            self.owes_until.retain(|_, until| *until > now);
            if self.owes_until.len() >= MOST_SOURCES {
                let least =
                    self.owes_until.iter().min_by_key(|(_, until)| **until).map(|(source, _)| *source);
                least.and_then(|source| self.owes_until.remove(&source));
            }
        }
        let until = self.owes_until.entry(source).or_insert(now);
        *until = (*until).max(now).plus(COST);
    }
}

fn prefix(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}
