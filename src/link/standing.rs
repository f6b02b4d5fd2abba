//! Collecting a standing list from its pages. It stands only as a whole: gapless, with its count and digest.

use aws_lc_rs::digest::{Context, SHA256};
use model::{Incarnation, Position};
use rules::Standing;

use super::convert::StandingPage;

/// A list that never ends is dropped at this many accesses.
const MOST: u64 = 1_000_000;

/// The pages so far.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    list: Option<List>,
}

#[derive(Debug)]
struct List {
    standing: Standing,
    count: u64,
    digest: [u8; 32],
    pages: u32,
}

/// What a page came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// More pages are to come.
    More,
    Whole(Standing),
    /// Dropped: why, and which list.
    Misread {
        incarnation: Incarnation,
        position: Position,
        why: String,
    },
}

impl Collector {
    /// Takes a page.
    pub(crate) fn take(&mut self, page: StandingPage) -> Taken {
        let (incarnation, position) = (page.incarnation, page.position);
        let misread = |why: String| Taken::Misread { incarnation, position, why };
        if page.page == 1 {
            self.list = Some(List {
                standing: Standing { incarnation, position, accesses: vec![], confirmed: page.confirmed },
                count: page.count,
                digest: page.digest,
                pages: 0,
            });
        }
        let Some(mut list) = self.list.take() else { return misread("it does not begin with page 1".into()) };
        let same = list.standing.incarnation == incarnation
            && list.standing.position == position
            && list.count == page.count
            && list.digest == page.digest
            && list.standing.confirmed == page.confirmed;
        if !same || page.page != list.pages + 1 {
            return misread(format!("page {} does not follow page {}", page.page, list.pages));
        }
        list.pages = page.page;
        list.standing.accesses.extend(page.accesses);
        let so_far = list.standing.accesses.len() as u64;
        if so_far > list.count || list.count > MOST {
            return misread(format!("{so_far} accesses came of {}", list.count));
        }
        if !page.last {
            self.list = Some(list);
            return Taken::More;
        }
        if so_far != list.count {
            return misread(format!("{so_far} accesses came of {}", list.count));
        }
        let sorted =
            list.standing.accesses.is_sorted_by(|(before, _), (after, _)| before.as_str() < after.as_str());
        if !sorted {
            return misread("the accesses are not sorted by their id, or one comes twice".into());
        }
        if digest(&list.standing) != list.digest {
            return misread("the digest is another".into());
        }
        Taken::Whole(list.standing)
    }
}

fn digest(standing: &Standing) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for (id, revision) in &standing.accesses {
        context.update(format!("{id}\n{}\n", revision.0).as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AccessId, Revision};

    fn pages() -> (StandingPage, StandingPage) {
        let incarnation = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        let access = |id: &str, revision| (AccessId::parse(id).unwrap(), Revision(revision));
        let hex = "88edc21486228399b8513ee5678fd1597d7b895c27c737d3aff2ec529d3ce698";
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        let page = |page, accesses, last| StandingPage {
            incarnation,
            position: Position(7),
            count: 2,
            digest,
            page,
            accesses,
            last,
            confirmed: false,
        };
        (page(1, vec![access("a", 10)], false), page(2, vec![access("b", 2)], true))
    }

    #[test]
    fn a_list_stands_only_as_a_whole() {
        let (first, second) = pages();
        let mut collector = Collector::default();
        assert_eq!(collector.take(first.clone()), Taken::More);
        assert!(matches!(collector.take(second.clone()), Taken::Whole(list) if list.accesses.len() == 2));

        type Spoil = fn(&mut StandingPage, &mut StandingPage);
        let table: [(&str, Spoil); 6] = [
            ("a gap", |_, second| second.page = 3),
            ("another digest", |first, second| (first.digest[0], second.digest[0]) = (0, 0)),
            ("too few", |_, second| second.accesses.clear()),
            ("another place", |_, second| second.position = Position(8)),
            ("twice the same", |first, second| second.accesses.clone_from(&first.accesses)),
            ("confirmed halfway", |_, second| second.confirmed = true),
        ];
        for (name, spoil) in table {
            let (mut first, mut second) = pages();
            spoil(&mut first, &mut second);
            let mut collector = Collector::default();
            assert_eq!(collector.take(first), Taken::More, "{name}");
            assert!(matches!(collector.take(second), Taken::Misread { .. }), "{name}");
        }
        let mut collector = Collector::default();
        assert!(matches!(collector.take(second), Taken::Misread { .. }), "without its beginning");
    }
}
