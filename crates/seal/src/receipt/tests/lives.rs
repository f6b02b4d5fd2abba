//! Lives of a chain: what is honest is told, and what is not is named all the same.

use model::Incarnation;

use super::*;

fn memory(n: u128) -> Incarnation {
    format!("00000000-0000-0000-0000-{n:012}").parse().unwrap()
}

/// Signs receipts of one memory onto a head; the first names it.
fn lived(key: u8, start: &ChainHead, life: Option<u128>, count: i64) -> (Vec<SignedReceipt>, Vec<ChainHead>) {
    let (mut receipts, mut heads) = (vec![], vec![]);
    let mut head = start.clone();
    for n in 0..count {
        let life = life.filter(|_| n == 0).map(memory);
        let at = Timestamp::from_secs(1_000 * i64::from(key) + i64::try_from(head.number).unwrap());
        let body = ReceiptBody { at, life, ..statement(orders()) };
        let (receipt, next) = sign(&receipt_key(key), &head, &body).unwrap();
        receipts.push(receipt);
        heads.push(next.clone());
        head = next;
    }
    (receipts, heads)
}

/// A chain that branched twice: one memory signed 1 to 5; an old copy of it, from when there were 3, went on
/// with 4 and 5; an empty one began again and signed 1 and 2.
struct Branched {
    first: Vec<SignedReceipt>,
    copy: Vec<SignedReceipt>,
    empty: Vec<SignedReceipt>,
    /// After receipt 5 of the first, 5 of the copy, 2 of the empty one.
    heads: [ChainHead; 3],
    third: ChainHead,
}

fn branched() -> Branched {
    let (first, of_first) = lived(1, &genesis(), Some(1), 5);
    let third = of_first.get(2).unwrap().clone();
    let (copy, of_copy) = lived(1, &third, Some(2), 2);
    let (empty, of_empty) = lived(1, &genesis(), Some(3), 2);
    let heads = [of_first, of_copy, of_empty].map(|heads| heads.last().unwrap().clone());
    Branched { first, copy, empty, heads, third }
}

impl Branched {
    fn all(&self) -> Vec<SignedReceipt> {
        [self.first.as_slice(), &self.copy, &self.empty].concat()
    }
}

#[test]
fn lives_are_told_with_their_beginnings() {
    let branched = branched();
    let began = |life: &Life| life.begins.as_ref().map(|begins| (begins.number, begins.life));
    let table = [
        ("as they were signed", branched.all()),
        (
            "the empty one first",
            [branched.empty.clone(), branched.first.clone(), branched.copy.clone()].concat(),
        ),
        (
            "mixed",
            [
                &branched.first[..4],
                &branched.copy[..1],
                &branched.empty,
                &branched.first[4..],
                &branched.copy[1..],
            ]
            .concat(),
        ),
    ];
    for (name, list) in table {
        let mut lives = verify(&list, &keys(), genesis(), None).unwrap();
        lives.sort_by_key(|life| life.begins.as_ref().unwrap().life);
        let heads: Vec<_> = lives.iter().map(|life| &life.head).collect();
        assert_eq!(heads, branched.heads.iter().collect::<Vec<_>>(), "{name}");
        let expected =
            [(1, memory(1)), (4, memory(2)), (1, memory(3))].map(|(at, life)| Some((at, Some(life))));
        assert_eq!(lives.iter().map(began).collect::<Vec<_>>(), expected, "{name}");
        assert!(lives.iter().all(|life| life.begins.as_ref().unwrap().at.is_some()), "{name}");
        for head in &branched.heads {
            verify(&list, &keys(), genesis(), Some(head)).unwrap();
        }
    }
}

#[test]
fn who_verifies_is_told_of_lives_in_words() {
    let branched = branched();
    let one = verify(&branched.first, &keys(), genesis(), None).unwrap();
    assert!(told(&one).is_empty());
    let three = verify(branched.all(), &keys(), genesis(), None).unwrap();
    let why = "the agent's journal was lost, or an old copy of it was put back. Ask when, and why.";
    let expected = [
        format!("orders-db has 3 lives: {why}"),
        "  life 1: from receipt 1 of 1970-01-01T00:16:40.000Z to receipt 5".into(),
        "  life 2: from receipt 4 of 1970-01-01T00:16:43.000Z to receipt 5".into(),
        "  life 3: from receipt 1 of 1970-01-01T00:16:40.000Z to receipt 2".into(),
    ];
    assert_eq!(told(&three), expected);
}

#[test]
fn a_memory_that_only_went_on_is_no_further_life() {
    let (mut receipts, heads) = lived(1, &genesis(), Some(1), 2);
    let (more, heads) = lived(1, heads.last().unwrap(), Some(2), 2);
    receipts.extend(more);
    assert_eq!(verified(&receipts, genesis(), heads.last()), Ok(heads.last().unwrap().clone()));
}

#[test]
fn a_chain_goes_on_over_a_new_key() {
    let (mut receipts, head) = four();
    let (more, head) = chain(&receipt_key(9), head, &["five"]);
    receipts.extend(more);
    assert_eq!(verified(&receipts, genesis(), None), Ok(head));
}

#[test]
fn what_is_wrong_among_lives_is_named() {
    let branched = branched();
    let Branched { first, copy, empty, heads, third } = &branched;
    let integration = orders;
    let missing = |number| ReceiptFault::Missing { integration: integration(), number };
    let forked = |number| ReceiptFault::Forked { integration: integration(), number };
    let reordered = |number| ReceiptFault::Reordered { integration: integration(), number };
    let rootless = |number| ReceiptFault::Rootless { integration: integration(), number };
    let cut = |number| ReceiptFault::LifeCut { integration: integration(), number };
    let truncated = |expected, found| ReceiptFault::Truncated { integration: integration(), expected, found };
    let foreign = |number| ReceiptFault::ForeignKey {
        integration: integration(),
        number,
        key: receipt_key(5).id().clone(),
    };
    let all = branched.all();
    let and = |more: &[SignedReceipt]| [all.as_slice(), more].concat();
    let silent = lived(9, third, None, 1).0;
    let (again, _) = lived(1, third, Some(2), 1);
    let [mut relabelled] = <[_; 1]>::try_from(lived(5, third, Some(7), 1).0).unwrap();
    relabelled.key_id = receipt_key(1).id().clone();
    let later = ReceiptBody { at: Timestamp::ZERO, life: Some(memory(2)), ..statement(orders()) };
    let other_copy = sign(&receipt_key(1), third, &later).unwrap().0;
    let [mut silenced] = <[_; 1]>::try_from(copy[..1].to_vec()).unwrap();
    silenced.body = silenced.body.replace(&format!(",\"life\":\"{}\"", memory(2)), "");
    assert_ne!(silenced, copy[0]);
    // Agents that knew of no lives said of none: one of all that follow the same receipt may be theirs.
    assert!(verify(and(&lived(1, &genesis(), None, 1).0), &keys(), genesis(), None).is_ok());
    let table: Vec<(&str, Vec<SignedReceipt>, Option<&ChainHead>, ReceiptFault)> = vec![
        ("a branch that says of no life", and(&silent), None, forked(4)),
        (
            "two beginnings that say of no life",
            and(&[lived(1, &genesis(), None, 1).0, lived(9, &genesis(), None, 1).0].concat()),
            None,
            forked(1),
        ),
        ("one life begun twice", and(&[other_copy]), None, forked(4)),
        ("a life's first receipt twice", and(&again), None, reordered(4)),
        ("a life begun by a stranger", and(&lived(5, third, Some(7), 1).0), None, foreign(4)),
        (
            "a life begun by a stranger under a known key's id",
            and(&[relabelled]),
            None,
            ReceiptFault::Changed { integration: integration(), number: 4 },
        ),
        (
            "a life made unsaid",
            [first.as_slice(), &[silenced]].concat(),
            None,
            ReceiptFault::Changed { integration: integration(), number: 4 },
        ),
        ("a later life without its first", [first.as_slice(), &copy[1..]].concat(), None, rootless(5)),
        (
            "a later life before its first",
            [first.as_slice(), &copy[1..], &copy[..1]].concat(),
            None,
            rootless(5),
        ),
        (
            "a life that began anew, without its first",
            [first.as_slice(), &empty[1..]].concat(),
            None,
            rootless(2),
        ),
        ("what a life goes on from is missing", [&first[..2], copy].concat(), None, missing(3)),
        ("a life cut, another goes on", [&first[..3], copy].concat(), Some(&heads[0]), cut(5)),
        ("a life gone", [first.as_slice(), copy].concat(), Some(&heads[2]), cut(2)),
        ("every life cut", [&first[..4], &copy[..1], empty].concat(), Some(&heads[1]), truncated(5, 4)),
        ("all gone", vec![], Some(&heads[0]), truncated(5, 0)),
    ];
    for (name, list, head, fault) in table {
        assert_eq!(verify(&list, &keys(), genesis(), head).unwrap_err(), fault, "{name}");
    }
}

#[test]
fn a_list_may_begin_after_the_heads_of_several_lives() {
    let Branched { first, copy, empty, heads, third } = branched();
    let starts = |heads: &[&ChainHead]| {
        let mut heads = heads.iter().copied().cloned();
        ChainCheck::after(heads.next().unwrap(), heads)
    };
    let of_copy =
        verify(first[..3].iter().chain(&copy[..1]), &keys(), genesis(), None).unwrap().remove(0).head;
    let tails = [&first[3..], &copy[1..]].concat();
    let walk = |mut check: ChainCheck, list: &[SignedReceipt]| {
        list.iter().try_for_each(|receipt| check.take(receipt, &keys()))?;
        heads[..2].iter().try_for_each(|head| check.contains(head))?;
        check.finish(None).map(|lives| lives.len())
    };
    assert_eq!(walk(starts(&[&third, &of_copy]), &tails), Ok(2));
    assert_eq!(
        walk(starts(&[&third, &of_copy]), &[tails.clone(), empty].concat()),
        Ok(3),
        "begun anew since"
    );
    let late = ReceiptFault::StartTooLate { integration: orders(), start: 5, head: 3 };
    assert_eq!(walk(starts(&[&heads[0]]), &copy), Err(late), "a life that began before");
}

#[test]
fn one_receipt_is_placed_among_those_that_were_kept() {
    let Branched { first, copy, empty, third, .. } = branched();
    let at = |list: &[SignedReceipt], n: usize| list.get(n).unwrap().clone();
    let stranger = lived(5, &third, Some(7), 1).0.remove(0);
    let silent = lived(9, &third, None, 1).0.remove(0);
    let mut spoilt = at(&first, 2);
    spoilt.body.push(' ');
    let forked = |number| Err(ReceiptFault::Forked { integration: orders(), number });
    let missing = Err(ReceiptFault::Missing { integration: orders(), number: 3 });
    let begins = |receipt: &SignedReceipt| Ok(Place::Begins(life::Beginning::of(receipt)));
    let (three, four) = (at(&first, 2), at(&first, 3));
    let table = [
        ("the first of all", at(&first, 0), vec![], vec![], Ok(Place::GoesOn)),
        ("the next", four.clone(), vec![three.clone()], vec![], Ok(Place::GoesOn)),
        (
            "the next of one of two",
            four.clone(),
            vec![spoilt.clone(), three.clone()],
            vec![],
            Ok(Place::GoesOn),
        ),
        ("a life beside it", at(&copy, 0), vec![three.clone()], vec![four.clone()], begins(&copy[0])),
        ("a life begun anew", at(&empty, 0), vec![], vec![at(&first, 0)], begins(&empty[0])),
        (
            "what it stands beside is spoilt",
            four.clone(),
            vec![three.clone()],
            vec![stranger.clone()],
            Ok(Place::GoesOn),
        ),
        ("the one before is missing", four.clone(), vec![], vec![], missing.clone()),
        ("the one before is spoilt", four.clone(), vec![spoilt], vec![], missing),
        ("the one before is another", at(&copy, 1), vec![four.clone()], vec![], forked(5)),
        ("a first one that follows something", at(&copy, 0), vec![at(&first, 1)], vec![], forked(4)),
        (
            "a fork that says of no life",
            silent.clone(),
            vec![three.clone()],
            vec![silent_other(&third)],
            forked(4),
        ),
        (
            "a stranger's",
            stranger,
            vec![three],
            vec![],
            Err(ReceiptFault::ForeignKey {
                integration: orders(),
                number: 4,
                key: receipt_key(5).id().clone(),
            }),
        ),
    ];
    for (name, receipt, before, beside, expected) in table {
        assert_eq!(place(&receipt, &keys(), &before, &beside), expected, "{name}");
    }
}

fn silent_other(head: &ChainHead) -> SignedReceipt {
    lived(1, head, None, 1).0.remove(0)
}
