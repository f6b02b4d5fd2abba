//! Guardrails: what they say of orders, of what lives when they change, and that closing never asks them.

use std::fmt;
use std::sync::Arc;

use journal::memory::Fate;
use model::*;
use rules::{Forbidden, Guard, Guardrails, Input, Living, Order, Report, Stretch, Wish};

use crate::bench::{Bench, START, account, control_plane, id, rights, target};

type Says = dyn Fn(&Wish<'_>) -> Result<Timestamp, Forbidden> + Send + Sync;

/// Guardrails that say what a test says.
struct Scripted {
    digest: &'static str,
    open: Box<Says>,
    /// What is said no to, whatever it is.
    no: &'static [&'static str],
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digest)
    }
}

impl Scripted {
    fn says(&self, what: &str) -> Result<(), Forbidden> {
        if self.no.contains(&what) { Err(no()) } else { Ok(()) }
    }
}

impl Guardrails for Scripted {
    fn digest(&self) -> &str {
        self.digest
    }

    fn asks_use(&self) -> bool {
        true
    }

    fn may_connect(&self, _: &Integration) -> Result<(), Forbidden> {
        self.says("connect")
    }

    fn may_open(&self, wish: &Wish<'_>) -> Result<Timestamp, Forbidden> {
        (self.open)(wish)
    }

    fn may_rotate(&self, _: &Integration, _: &GranteeId) -> Result<(), Forbidden> {
        self.says("rotate")
    }

    fn may_delete(&self, _: &Integration, _: &GranteeId) -> Result<(), Forbidden> {
        self.says("delete")
    }
}

fn no() -> Forbidden {
    Forbidden::By { policies: vec!["mine".into()], reason: None }
}

fn on(
    digest: &'static str,
    open: impl Fn(&Wish<'_>) -> Result<Timestamp, Forbidden> + Send + Sync + 'static,
) -> Guard {
    let guardrails = Arc::new(Scripted { digest, open: Box::new(open), no: &[] });
    Guard::On { guardrails, living: Living::Ends }
}

fn keeping(guard: Guard) -> Guard {
    match guard {
        Guard::On { guardrails, .. } => Guard::On { guardrails, living: Living::IsNotExtended },
        other @ (Guard::Off | Guard::Broken { .. }) => other,
    }
}

fn forbidding(no: &'static [&'static str]) -> Guard {
    let open = Box::new(|wish: &Wish<'_>| Ok(wish.until));
    Guard::On { guardrails: Arc::new(Scripted { digest: "forbidding", open, no }), living: Living::Ends }
}

fn broken() -> Guard {
    Guard::Broken { reason: "nobody can read this".into() }
}

fn bench() -> Bench {
    Bench::new(Ownership::Owned, Policy::default())
}

/// Sets guardrails, and does what comes of it until nothing does.
fn guard(bench: &mut Bench, guard: Guard) {
    let reading = bench.reading();
    bench.guard = guard.clone();
    bench.book.guard(guard, reading);
    let actions = bench.drain();
    bench.well(actions);
}

fn open(bench: &mut Bench, access: &str, grantee: &str, names: &[&str], mins: i64) {
    let actions = bench.put(access, grantee, names, mins);
    bench.well(actions);
}

fn at(mins: i64) -> Timestamp {
    Timestamp::from_secs(START + mins * 60)
}

fn until(bench: &Bench, access: &str) -> Timestamp {
    bench.book.access(&id(access)).unwrap().1.until
}

/// What was said of a refused order last.
fn refusal(bench: &Bench) -> String {
    let said = bench.reports.iter().rev().find_map(|report| match report {
        Report::OrderRefused { code, detail, .. } => Some(format!("{code}: {detail}")),
        _ => None,
    });
    said.unwrap_or_default()
}

#[test]
fn an_order_is_refused_cut_short_or_taken() {
    let mut bench = bench();
    guard(
        &mut bench,
        on("one", |wish| match wish.access.as_str() {
            "no" => Err(no()),
            "short" => Ok(wish.until.min(at(10))),
            _ => Ok(wish.until),
        }),
    );
    for access in ["no", "short", "yes"] {
        open(&mut bench, access, access, &["orders"], 30);
    }
    assert!(
        refusal(&bench).starts_with("guardrail_refused: guardrail `mine` says no"),
        "{}",
        refusal(&bench)
    );
    open(&mut bench, "no", "no", &["orders"], 30);
    assert!(refusal(&bench).starts_with("id_ended"), "a refused id is spent: {}", refusal(&bench));
    assert_eq!(
        (bench.state("no"), bench.state("short"), bench.state("yes")),
        ("unknown", "active", "active")
    );
    assert_eq!((until(&bench, "short"), until(&bench, "yes")), (at(10), at(30)));
    let told = bench.reports.iter().any(|report| {
        matches!(report, Report::AccessChanged { access, until: Some(until), .. } if *access == id("short") && *until == at(10))
    });
    assert!(told, "the deadline that holds is told");
    let closing = bench.pass(10 * 60);
    bench.well(closing);
    assert_eq!(
        (bench.state("short"), bench.state("yes")),
        ("ended", "active"),
        "ended at the shorter deadline"
    );
}

#[test]
fn they_are_asked_about_the_union_the_beginning_and_what_was_used() {
    type Seen = (Vec<String>, Timestamp, Timestamp, Vec<Stretch>, Option<String>);
    let seen: Arc<std::sync::Mutex<Vec<Seen>>> = Arc::default();
    let mut bench = bench();
    let noted = Arc::clone(&seen);
    guard(
        &mut bench,
        on("one", move |wish| {
            let union = wish.union.iter().map(|one| one.resource.path.join("/")).collect();
            let approval = wish.approval.map(str::to_owned);
            noted.lock().unwrap().push((union, wish.begun, wish.from, wish.used.to_vec(), approval));
            Ok(wish.until)
        }),
    );
    let last = || seen.lock().unwrap().last().cloned().unwrap();
    open(&mut bench, "a", "ann", &["orders"], 10);
    assert_eq!(last(), (vec!["orders".into()], at(0), at(0), vec![], None));
    open(&mut bench, "b", "ann", &["ledger"], 30);
    let lives = |until| Stretch { from: at(0), until: at(until) };
    assert_eq!(last().0, ["ledger", "orders"], "with what the other one holds");
    assert_eq!(last().3, [lives(10)]);
    open(&mut bench, "c", "bob", &["ledger"], 30);
    assert_eq!((last().0, last().3), (vec!["ledger".to_owned()], vec![]), "other people's are theirs");
    let closing = bench.pass(15 * 60);
    bench.well(closing);
    assert_eq!(bench.state("a"), "ended");
    // Extended, with a decision: it began when it began, and what ended is counted as it was.
    let order = rules::AccessOrder {
        revision: Revision(2),
        from: at(0),
        approval: Some("b:boss".into()),
        ..bench.access_order("b", "ann", &["ledger"], 60)
    };
    let actions = bench.order(Order::PutAccess(order));
    bench.well(actions);
    assert_eq!(
        last(),
        (
            vec!["ledger".into()],
            at(0),
            at(15),
            vec![Stretch { from: at(0), until: at(10).plus(Span::from_secs(300)) }],
            Some("b:boss".into())
        )
    );
    // The memory of what was used outlives the account and a restart.
    let actions = bench
        .order(Order::DeleteAccount { integration: target(), grantee: GranteeId::parse("ann").unwrap() });
    bench.well(actions);
    assert!(bench.book.account(account("ann")).is_none(), "forgotten");
    let noted = Arc::clone(&seen);
    let actions = bench.restart();
    bench.well(actions);
    bench.input(Input::JournalIsCurrent { by: control_plane() });
    guard(
        &mut bench,
        on("one", move |wish| {
            noted.lock().unwrap().push((vec![], wish.begun, wish.from, wish.used.to_vec(), None));
            Ok(wish.until)
        }),
    );
    open(&mut bench, "d", "ann", &["orders"], 10);
    assert_eq!(last().3.len(), 2, "{:?}", last().3);
}

#[test]
fn an_extension_is_refused_and_less_is_never_asked_about() {
    let mut bench = bench();
    open(&mut bench, "a", "ann", &["orders", "ledger"], 30);
    guard(&mut bench, keeping(on("no", |_| Err(no()))));
    assert_eq!((bench.state("a"), until(&bench, "a")), ("active", at(30)), "kept");
    let actions = bench.put_revision("a", "ann", &["orders", "ledger"], 60, 2);
    bench.well(actions);
    assert!(refusal(&bench).ends_with("the access stays as it was"), "{}", refusal(&bench));
    assert_eq!((bench.state("a"), until(&bench, "a")), ("active", at(30)));
    let actions = bench.put_revision("a", "ann", &["orders"], 20, 3);
    bench.well(actions);
    let held = bench.book.access(&id("a")).unwrap().1.entitlements.clone();
    assert_eq!((held, until(&bench, "a")), (rights(&["orders"]), at(20)), "less, for less long");
    let actions = bench.order(Order::EndAccess { access: id("a") });
    bench.well(actions);
    assert_eq!(bench.state("a"), "ended");
}

#[test]
fn what_lives_is_held_against_changed_guardrails_once() {
    for (name, living, ann, bob) in
        [("end", Living::Ends, "ended", at(10)), ("keep", Living::IsNotExtended, "active", at(30))]
    {
        let mut bench = bench();
        open(&mut bench, "a", "ann", &["orders"], 30);
        open(&mut bench, "b", "bob", &["orders"], 30);
        // Ordered and not open yet.
        let mut later = bench.access_order("c", "cid", &["orders"], 30);
        later.from = at(5);
        bench.order(Order::PutAccess(later));
        let changed = || {
            on("changed", |wish| match wish.grantee.as_str() {
                "bob" => Ok(at(10)),
                _ => Err(no()),
            })
        };
        let changed = move || match changed() {
            Guard::On { guardrails, .. } => Guard::On { guardrails, living },
            other @ (Guard::Off | Guard::Broken { .. }) => other,
        };
        guard(&mut bench, changed());
        assert_eq!(bench.state("a"), ann, "{name}");
        assert_eq!((bench.state("b"), until(&bench, "b")), ("active", bob), "{name}");
        assert_eq!(bench.state("c"), "ended", "{name}: what does not live yet never does");
        assert_eq!(bench.alarms(&Code::GUARDRAIL_REFUSED), 1, "{name}: told once, for all");
        guard(&mut bench, changed());
        let actions = bench.restart();
        bench.well(actions);
        let after = bench.journal.writes();
        guard(&mut bench, changed());
        assert_eq!(bench.journal.writes(), after, "{name}: held against them once, also over a restart");
    }
}

#[test]
fn broken_guardrails_let_nothing_open_and_everything_close() {
    let mut bench = Bench::new(
        Ownership::Owned,
        Policy { credentials_cleanup_period_in_days: Some(0), ..Policy::default() },
    );
    guard(&mut bench, on("one", |wish| Ok(wish.until)));
    open(&mut bench, "a", "ann", &["orders"], 10);
    open(&mut bench, "b", "bob", &["orders"], 60);
    guard(&mut bench, broken());
    let still = bench.book.standstill().unwrap();
    assert_eq!((still.code, still.detail.as_str()), (Code::GUARDRAILS_BROKEN, "nobody can read this"));
    assert!(bench.put("c", "cid", &["orders"], 60).is_empty(), "nothing opens");
    assert!(bench.put_integration(IntegrationId::parse("new").unwrap(), Policy::default()).is_empty());
    assert!(refusal(&bench).contains("cannot be read"), "{}", refusal(&bench));
    assert!(bench.book.integration(&IntegrationId::parse("new").unwrap()).is_none());
    let closing = bench.order(Order::EndAccess { access: id("b") });
    assert_eq!(closing.iter().map(|action| action.act.word()).collect::<Vec<_>>(), ["close"]);
    bench.well(closing);
    let closing = bench.pass(10 * 60);
    bench.well(closing);
    assert_eq!((bench.state("a"), bench.state("b")), ("ended", "ended"), "both ended");
    assert_eq!(
        bench.book.account(account("ann")).unwrap().phase,
        Phase::Suspended,
        "deleted when they are whole again"
    );
    // The same as before: what was ordered meanwhile is held against them all the same.
    guard(&mut bench, on("one", |wish| if wish.access.as_str() == "c" { Err(no()) } else { Ok(wish.until) }));
    assert_eq!(bench.state("c"), "ended");
    assert_eq!(bench.book.standstill(), None);
    assert!(bench.book.account(account("ann")).is_none(), "now deleted");
    // Broken at the start.
    let actions = bench.restart();
    bench.well(actions);
    bench.input(Input::JournalIsCurrent { by: control_plane() });
    guard(&mut bench, broken());
    assert!(bench.put("d", "dan", &["orders"], 60).is_empty());
    guard(&mut bench, Guard::Off);
    assert_eq!(bench.state("d"), "active", "an operator took them away");
}

#[test]
fn what_the_journal_did_not_take_is_held_against_them_again() {
    let mut bench = bench();
    open(&mut bench, "a", "ann", &["orders"], 30);
    bench.journal.fail_on(1, Fate::NotWritten);
    guard(&mut bench, on("no", |_| Err(no())));
    assert_eq!(bench.state("a"), "interrupted", "closed without the journal, and not told as ended");
    let actions = bench.input(Input::CloseOnly(None));
    bench.well(actions);
    assert_eq!(bench.state("a"), "ended", "ended when it could be written");
}

#[test]
fn an_integration_credentials_and_deletion_are_asked_about() {
    let mut bench = bench();
    open(&mut bench, "a", "ann", &["orders"], 30);
    guard(&mut bench, forbidding(&["connect", "rotate", "delete"]));
    assert_eq!(bench.alarms(&Code::GUARDRAIL_REFUSED), 1);
    assert!(bench.put("b", "bob", &["orders"], 30).is_empty(), "nothing opens there any more");
    bench.put_integration(IntegrationId::parse("new").unwrap(), Policy::default());
    assert!(refusal(&bench).contains("`mine` says no"));
    let grantee = GranteeId::parse("ann").unwrap();
    let rotated =
        bench.order(Order::RotateAccount { integration: target(), grantee: grantee.clone(), key: None });
    assert!(rotated.is_empty() && refusal(&bench).contains("`mine`"), "{}", refusal(&bench));
    let deleted = bench.order(Order::DeleteAccount { integration: target(), grantee });
    bench.well(deleted);
    assert!(refusal(&bench).ends_with("the account is closed and is not deleted"), "{}", refusal(&bench));
    assert_eq!(bench.state("a"), "ended");
    assert_eq!(bench.book.account(account("ann")).unwrap().phase, Phase::Suspended);
    guard(&mut bench, Guard::Off);
    assert_eq!(bench.state("b"), "active", "allowed again");
}
