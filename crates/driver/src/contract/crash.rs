//! Torn between any two statements: what is left is shut or whole, is found again, and closes.
//!
//! Each case tears the wire before the first question, after it, before the second, and so on, until a verb
//! gets through untorn. The question after which an answer is lost has been acted on.

use std::collections::BTreeSet;

use model::{AccountRef, Certainty, Entitlement, EntitlementSet, Failure, Login};

use super::foreign::about;
use super::stage::{Broken, LADDER, Person, Stage, Told, ensure, equal, holds, present, set};
use super::wire::Cut;
use crate::{HeirPolicy, Target, open_by_steps};

/// More questions than any verb has.
const MOST: u32 = 400;

fn places() -> impl Iterator<Item = Cut> {
    (1..=MOST).flat_map(|n| [Cut::Before(n), Cut::After(n)])
}

fn label(at: Cut) -> String {
    match at {
        Cut::Before(n) => format!("before{n}"),
        Cut::After(n) => format!("after{n}"),
    }
}

fn torn_at<T>(at: Cut, verb: &str, found: Result<T, Broken>) -> Result<T, Broken> {
    found.map_err(|Broken(found)| Broken(format!("{verb}, torn {at:?}: {found}")))
}

/// Returns true when the verb promised that nothing was done.
fn promised<T>(answer: &Result<T, Failure>) -> bool {
    answer.as_ref().is_err_and(|failure| failure.certainty != Certainty::Unknown)
}

/// Expects that nothing on the target names the account any more.
async fn nothing_left(stage: &Stage<'_>, person: &Person) -> Result<(), Broken> {
    equal(&about(stage.world, person.name()).await?, &BTreeSet::new(), "what is left of the account")
}

pub(super) async fn an_opening_torn_anywhere_leaves_nothing_unseen(stage: &Stage<'_>) -> Result<(), Broken> {
    for (verb, fused) in [("open", true), ("create, grant, rotate, enable", false)] {
        let mut torn = 0;
        for at in places() {
            let person = stage.person(&format!("{}{}", if fused { "f" } else { "s" }, label(at)))?;
            if !torn_at(at, verb, torn_opening(stage, at, &person, fused).await)? {
                break;
            }
            torn += 1;
        }
        ensure(torn > 0 && torn < 2 * MOST, format!("{verb} was torn at {torn} places"))?;
    }
    Ok(())
}

async fn torn_opening(stage: &Stage<'_>, at: Cut, person: &Person, fused: bool) -> Result<bool, Broken> {
    let a = stage.plain(0)?;
    let order = stage.order(person, &set(std::slice::from_ref(&a)));
    let (target, wire) = stage.wired().await?;
    wire.cut(at).await;
    let answer = if fused { target.open(&order).await } else { open_by_steps(&target, &order).await };
    let fresh = stage.target().await?;
    if !wire.was_cut() {
        stage.put_away(&fresh, &answer.told("opening untorn")?).await?;
        return Ok(false);
    }

    let observed = fresh.observe(&person.by_name()).await.told("observing what was torn")?;
    match &observed.account {
        Some(found) if found.login == Login::Open => {
            ensure(!promised(&answer), format!("{answer:?} and yet the account is open"))?;
            equal(&found.entitlements, &order.wanted, "what an open account holds")?;
            stage.can_use(person, &a).await?;
        }
        Some(found) => {
            ensure(answer.is_err(), "the opening succeeded and the account is shut")?;
            stage.locked_out(person, &a.resource, "after a torn opening").await?;
            let mut sightings = vec![];
            fresh.survey(&mut sightings).await.told("survey")?;
            let seen = sightings.iter().any(|sighting| sighting.found.immutable == found.immutable);
            ensure(seen, "the survey does not see what a torn opening left")?;
        }
        None => {
            ensure(answer.is_err(), "the opening succeeded and there is no account")?;
            nothing_left(stage, person).await?;
        }
    }
    // One half is closed as it was left, the other half is opened again: both have to work from there.
    if matches!(at, Cut::After(_)) {
        let account = fresh.open(&order).await.told("opening again")?;
        holds(&fresh, &account, Login::Open, std::slice::from_ref(&a), "after opening again").await?;
        stage.can_use(person, &a).await?;
    }
    stage.put_away(&fresh, &person.by_name()).await?;
    stage.locked_out(person, &a.resource, "after the close").await?;
    nothing_left(stage, person).await?;
    Ok(true)
}

/// One verb to tear, on an account that is as far as it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Grant,
    Rotate,
    Enable,
    /// Converging an open account to less.
    Shrink,
    Renew,
}

pub(super) async fn a_single_verb_torn_anywhere_opens_nothing(stage: &Stage<'_>) -> Result<(), Broken> {
    for verb in [Verb::Create, Verb::Grant, Verb::Rotate, Verb::Enable, Verb::Shrink, Verb::Renew] {
        let mut torn = 0;
        for at in places() {
            let person = stage.person(&format!("{verb:?}{}", label(at)))?;
            if !torn_at(at, &format!("{verb:?}"), torn_verb(stage, at, &person, verb).await)? {
                break;
            }
            torn += 1;
        }
        ensure(torn > 0 && torn < 2 * MOST, format!("{verb:?} was torn at {torn} places"))?;
    }
    Ok(())
}

async fn act(
    target: &dyn Target,
    stage: &Stage<'_>,
    person: &Person,
    account: &AccountRef,
    verb: Verb,
) -> Result<(), Failure> {
    let (a, b) = (stage.world.plain().into_iter().next(), stage.world.plain().into_iter().nth(1));
    let both: EntitlementSet = a.into_iter().chain(b.clone()).collect();
    match verb {
        Verb::Create => target.create(&stage.spec(person, &both)).await.map(|_| ()),
        Verb::Grant => target.grant(account, &both).await,
        Verb::Rotate => target.rotate(account, &person.credential()).await,
        Verb::Enable => target.enable(account).await,
        Verb::Shrink => target.grant(account, &b.into_iter().collect()).await,
        Verb::Renew => {
            let mark = stage.mark(&person.account, &both, 2);
            target.renew(account, &mark, stage.expires(stage.until())).await
        }
    }
}

/// Brings the account to where the verb begins, and returns how it is known then.
async fn before(
    fresh: &dyn Target,
    stage: &Stage<'_>,
    person: &Person,
    verb: Verb,
) -> Result<AccountRef, Broken> {
    let path: &[Verb] = match verb {
        Verb::Create => &[],
        Verb::Grant => &[Verb::Create],
        Verb::Rotate => &[Verb::Create, Verb::Grant],
        Verb::Enable => &[Verb::Create, Verb::Grant, Verb::Rotate],
        Verb::Shrink | Verb::Renew => &[Verb::Create, Verb::Grant, Verb::Rotate, Verb::Enable],
    };
    let mut account = person.by_name();
    for step in path {
        act(fresh, stage, person, &account, *step).await.told(&format!("{step:?}"))?;
        let found = present(fresh, &account).await?;
        account.immutable = Some(found.immutable);
    }
    Ok(account)
}

async fn torn_verb(stage: &Stage<'_>, at: Cut, person: &Person, verb: Verb) -> Result<bool, Broken> {
    let (a, b): (Entitlement, Entitlement) = (stage.plain(0)?, stage.plain(1)?);
    let fresh = stage.target().await?;
    let account = before(&fresh, stage, person, verb).await?;
    let held = fresh.observe(&account).await.told("observe")?.account.map(|found| found.entitlements);
    let held = held.unwrap_or_default();
    let (target, wire) = stage.wired().await?;
    wire.cut(at).await;
    let answer = act(&target, stage, person, &account, verb).await;
    let torn = wire.was_cut();
    if !torn {
        answer.as_ref().map_err(Clone::clone).told("untorn")?;
    }

    let found = fresh.observe(&account).await.told("observing what was torn")?.account;
    let is_open = found.as_ref().is_some_and(|found| found.login == Login::Open);
    let holds_now = found.map(|found| found.entitlements).unwrap_or_default();
    match verb {
        Verb::Create | Verb::Grant | Verb::Rotate => {
            ensure(!is_open, "the account is open")?;
            stage.locked_out(person, &a.resource, "after a torn verb on a shut account").await?;
        }
        Verb::Enable => {
            ensure(!(is_open && promised(&answer)), format!("{answer:?} and yet the account is open"))?
        }
        Verb::Shrink | Verb::Renew => {
            ensure(is_open, "the account is shut")?;
            stage.can_use(person, &b).await?;
        }
    }
    if promised(&answer) {
        ensure(holds_now.within(&held), format!("{answer:?} and yet the account holds more"))?;
    }
    act(&fresh, stage, person, &account, verb).await.told("doing it again")?;
    let wanted: &[Entitlement] = match verb {
        Verb::Create => &[],
        Verb::Grant | Verb::Rotate | Verb::Enable | Verb::Renew => &[a.clone(), b.clone()],
        Verb::Shrink => std::slice::from_ref(&b),
    };
    let login =
        if matches!(verb, Verb::Enable | Verb::Shrink | Verb::Renew) { Login::Open } else { Login::Shut };
    holds(&fresh, &account, login, wanted, "after doing it again").await?;
    stage.put_away(&fresh, &account).await?;
    nothing_left(stage, person).await?;
    Ok(torn)
}

pub(super) async fn a_torn_closing_is_closed_by_the_next(stage: &Stage<'_>) -> Result<(), Broken> {
    let mut count = 0;
    for at in places() {
        if !torn_at(at, "closing", torn_closing(stage, at).await)? {
            break;
        }
        count += 1;
    }
    ensure(count > 0 && count < 2 * MOST, format!("closing was torn at {count} places"))
}

async fn torn_closing(stage: &Stage<'_>, at: Cut) -> Result<bool, Broken> {
    let a = stage.plain(0)?;
    let fresh = stage.target().await?;
    let (person, account) = stage.opened(&fresh, &label(at), std::slice::from_ref(&a)).await?;
    let mut session = stage.login(&person, &a).await?;
    let (target, wire) = stage.wired().await?;
    wire.cut(at).await;
    let mut failed = None;
    for rung in LADDER {
        if let Err(failure) = target.revoke(&account, rung).await {
            failed.get_or_insert(failure);
        }
    }
    let torn = wire.was_cut();
    if !torn && let Some(failure) = failed {
        return Err(failure).told("closing untorn");
    }
    stage.close(&fresh, &account).await?;
    if stage.world.can().hold_sessions {
        ensure(!session.is_alive().await, "a session outlived the second ladder")?;
    }
    stage.locked_out(&person, &a.resource, "after the second ladder").await?;
    stage.put_away(&fresh, &account).await?;
    nothing_left(stage, &person).await?;
    Ok(torn)
}

pub(super) async fn a_torn_rotation_leaves_one_credential(stage: &Stage<'_>) -> Result<(), Broken> {
    let mut count = 0;
    for at in places() {
        if !torn_at(at, "rotate", torn_rotation(stage, at).await)? {
            break;
        }
        count += 1;
    }
    ensure(count > 0 && count < 2 * MOST, format!("rotate was torn at {count} places"))
}

async fn torn_rotation(stage: &Stage<'_>, at: Cut) -> Result<bool, Broken> {
    let a = stage.plain(0)?;
    let fresh = stage.target().await?;
    let (person, account) = stage.opened(&fresh, &label(at), std::slice::from_ref(&a)).await?;
    let renewed = stage.renewed(&person)?;
    let (target, wire) = stage.wired().await?;
    wire.cut(at).await;
    let answer = target.rotate(&account, &renewed.credential()).await;
    let torn = wire.was_cut();
    let old = stage.world.login(person.name(), &person.clear, &a.resource).await?.is_some();
    let new = stage.world.login(person.name(), &renewed.clear, &a.resource).await?.is_some();
    ensure(old != new, format!("the old credential opens: {old}; the new one: {new}"))?;
    match &answer {
        Ok(()) => ensure(new, "rotate succeeded and the new credential opens nothing")?,
        Err(_) => ensure(torn, "rotate failed untorn")?,
    }
    ensure(!(promised(&answer) && new), format!("{answer:?} and yet the new credential opens"))?;
    fresh.rotate(&account, &renewed.credential()).await.told("rotating again")?;
    stage.can_use(&renewed, &a).await?;
    stage.locked_out(&person, &a.resource, "with the old credential").await?;
    stage.put_away(&fresh, &account).await?;
    Ok(torn)
}

pub(super) async fn a_torn_delete_is_deleted_by_the_next(stage: &Stage<'_>) -> Result<(), Broken> {
    let mut count = 0;
    for at in places() {
        if !torn_at(at, "delete", torn_delete(stage, at).await)? {
            break;
        }
        count += 1;
    }
    ensure(count > 0 && count < 2 * MOST, format!("delete was torn at {count} places"))
}

async fn torn_delete(stage: &Stage<'_>, at: Cut) -> Result<bool, Broken> {
    let a = stage.plain(0)?;
    let fresh = stage.target().await?;
    let (person, account) = stage.opened(&fresh, &label(at), std::slice::from_ref(&a)).await?;
    stage.close(&fresh, &account).await?;
    let (target, wire) = stage.wired().await?;
    wire.cut(at).await;
    let answer = target.delete(&account, HeirPolicy::HandOver).await;
    let torn = wire.was_cut();
    ensure(torn || answer.is_ok(), format!("delete failed untorn: {answer:?}"))?;
    stage.locked_out(&person, &a.resource, "after a torn delete").await?;
    fresh.delete(&account, HeirPolicy::HandOver).await.told("deleting again")?;
    ensure(fresh.observe(&account).await.told("observe")?.is_absent(), "the account is still there")?;
    nothing_left(stage, &person).await?;
    Ok(torn)
}
