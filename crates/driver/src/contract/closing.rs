//! Closing: every rung by itself, in any order, twice, on what is there, half there and not there.

use model::{AccountRef, Login, ResidualKind, Rung};

use super::stage::{Broken, LADDER, Stage, Told, ensure, equal, holds, present, set};
use crate::{HeirPolicy, Target};

pub(super) async fn what_was_never_opened_closes(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let before = stage.world.inventory().await?;
    let account = stage.person("nobody")?.by_name();
    for rung in LADDER {
        target.revoke(&account, rung).await.told(rung.word())?;
    }
    for heir in [HeirPolicy::KeepShut, HeirPolicy::HandOver] {
        target.delete(&account, heir).await.told("deleting what is not there")?;
    }
    ensure(target.observe(&account).await.told("observe")?.is_absent(), "closing made an account")?;
    super::check::unchanged(&before, &stage.world.inventory().await?, "closing what is not there")
}

pub(super) async fn the_ladder_closes_what_was_open(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (person, account) = stage.opened(&target, "ann", &[a.clone(), b.clone()]).await?;
    let (other, others) = stage.opened(&target, "bob", std::slice::from_ref(&a)).await?;
    let mut session = stage.login(&person, &a).await?;
    let mut neighbour = stage.login(&other, &a).await?;
    session.try_use(&a).await?;
    stage.close(&target, &account).await?;
    if stage.world.can().hold_sessions {
        ensure(!session.is_alive().await, "a session outlived the ladder")?;
        ensure(neighbour.is_alive().await, "closing one account ended a session of another")?;
    }
    stage.locked_out(&person, &a.resource, "after the ladder").await?;
    stage.can_use(&other, &a).await?;
    let from_elsewhere = stage.target().await?.observe(&person.by_name()).await.told("observing by name")?;
    ensure(!from_elsewhere.is_absent(), "a shut account is not found by its mark")?;
    stage.put_away(&target, &account).await?;
    stage.put_away(&target, &others).await
}

pub(super) async fn rungs_work_twice_and_in_any_order(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let orders: [[Rung; 4]; 4] = [
        [Rung::Scramble, Rung::Strip, Rung::EndSessions, Rung::ShutLogin],
        [Rung::Strip, Rung::ShutLogin, Rung::Scramble, Rung::EndSessions],
        [Rung::EndSessions, Rung::Scramble, Rung::ShutLogin, Rung::Strip],
        [Rung::ShutLogin, Rung::Scramble, Rung::Strip, Rung::EndSessions],
    ];
    for (n, order) in orders.into_iter().enumerate() {
        let (person, account) = stage.opened(&target, &format!("ann{n}"), std::slice::from_ref(&a)).await?;
        for rung in order {
            target.revoke(&account, rung).await.told(rung.word())?;
            target.revoke(&account, rung).await.told(&format!("the second {}", rung.word()))?;
        }
        let observed = target.observe(&account).await.told("observe")?;
        ensure(observed.is_closed(), format!("after {order:?} the account is not closed: {observed:?}"))?;
        stage.locked_out(&person, &a.resource, "after all rungs").await?;
        stage.put_away(&target, &account).await?;
    }
    Ok(())
}

pub(super) async fn each_rung_does_its_own_part(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let wanted = std::slice::from_ref(&a);

    let (person, account) = stage.opened(&target, "shut", wanted).await?;
    target.revoke(&account, Rung::ShutLogin).await.told("shut_login")?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(observed.is_shut(), "after shut_login alone the login is not shut")?;
    stage.locked_out(&person, &a.resource, "after shut_login alone").await?;
    stage.put_away(&target, &account).await?;

    let (person, account) = stage.opened(&target, "strip", wanted).await?;
    target.revoke(&account, Rung::Strip).await.told("strip")?;
    let found = present(&target, &account).await?;
    ensure(found.entitlements.is_empty(), "after strip alone the account holds something")?;
    stage.is_denied(&person, &a).await?;
    stage.put_away(&target, &account).await?;

    let (person, account) = stage.opened(&target, "scramble", wanted).await?;
    target.revoke(&account, Rung::Scramble).await.told("scramble")?;
    stage.locked_out(&person, &a.resource, "after scramble alone").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn sessions_are_seen_and_ended(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let mut sessions = vec![];
    for _ in 0..3 {
        let mut session = stage.login(&person, &a).await?;
        session.try_use(&a).await?;
        sessions.push(session);
    }
    equal(&present(&target, &account).await?.sessions, &3, "sessions that observe counts")?;
    target.revoke(&account, Rung::ShutLogin).await.told("shut_login")?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(!observed.is_closed(), "an account with sessions counts as closed")?;
    target.revoke(&account, Rung::EndSessions).await.told("end_sessions")?;
    for session in &mut sessions {
        ensure(!session.is_alive().await, "a session outlived end_sessions")?;
    }
    equal(&present(&target, &account).await?.sessions, &0, "sessions after end_sessions")?;
    stage.put_away(&target, &account).await
}

pub(super) async fn ending_sessions_leaves_the_login_open(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let mut session = stage.login(&person, &a).await?;
    target.revoke(&account, Rung::EndSessions).await.told("end_sessions")?;
    ensure(!session.is_alive().await, "a session outlived end_sessions")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after end_sessions alone").await?;
    stage.can_use(&person, &a).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn prepared_transactions_end_with_the_sessions(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let prepared = |found: &model::observed::Present| {
        found.residual.iter().any(|residual| residual.kind == ResidualKind::PreparedTransaction)
    };
    stage.login(&person, &a).await?.prepare_transaction().await?;
    ensure(prepared(&present(&target, &account).await?), "observe does not see a prepared transaction")?;
    target.revoke(&account, Rung::ShutLogin).await.told("shut_login")?;
    target.revoke(&account, Rung::EndSessions).await.told("end_sessions")?;
    ensure(!prepared(&present(&target, &account).await?), "a prepared transaction outlived end_sessions")?;
    stage.put_away(&target, &account).await
}

pub(super) async fn rights_added_by_hand_are_seen_and_stripped(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let added = stage.world.add_rights_by_hand(person.name()).await?;
    let found =
        holds(&target, &account, Login::Open, std::slice::from_ref(&a), "with rights by hand").await?;
    ensure(
        found.excess.len() >= added,
        format!("observe tells {:?} for {added} rights added by hand", found.excess),
    )?;
    for rung in [Rung::ShutLogin, Rung::EndSessions] {
        target.revoke(&account, rung).await.told(rung.word())?;
    }
    let observed = target.observe(&account).await.told("observe")?;
    ensure(!observed.is_closed(), "an account with rights by hand counts as closed")?;
    target.revoke(&account, Rung::Strip).await.told("strip")?;
    let found = present(&target, &account).await?;
    ensure(
        found.excess.is_empty() && found.entitlements.is_empty(),
        format!("strip left {:?} and {:?}", found.entitlements, found.excess),
    )?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_scrambled_credential_stays_void(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.close(&target, &account).await?;
    stage.world.open_by_hand(person.name()).await?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(!observed.is_shut(), "a login opened by hand counts as shut")?;
    stage.locked_out(&person, &a.resource, "with a scrambled credential, login opened by hand").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn deleting_works_twice_and_the_account_can_come_back(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.close(&target, &account).await?;
    for n in ["first", "second"] {
        target.delete(&account, HeirPolicy::KeepShut).await.told(&format!("the {n} delete"))?;
    }
    let gone: [AccountRef; 2] = [account, person.by_name()];
    for known in &gone {
        ensure(target.observe(known).await.told("observe")?.is_absent(), "the account is still there")?;
    }
    stage.locked_out(&person, &a.resource, "after delete").await?;
    let back = stage.renewed(&person)?;
    let order = stage.order(&back, &set(std::slice::from_ref(&a)));
    let account = target.open(&order).await.told("opening again")?;
    stage.can_use(&back, &a).await?;
    stage.locked_out(&person, &a.resource, "with the credential of the deleted account").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn an_account_removed_by_hand_is_closed(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.world.drop_account(person.name()).await?;
    let observed = stage.close(&target, &account).await?;
    ensure(observed.is_absent(), "an account that was removed by hand is seen")?;
    target.delete(&account, HeirPolicy::KeepShut).await.told("deleting what was removed by hand")?;
    let order = stage.order(&person, &set(std::slice::from_ref(&a)));
    let account = target.open(&order).await.told("opening again")?;
    stage.can_use(&person, &a).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_vanished_resource_does_not_hold_up_a_close(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let Some(gone) = stage.world.make_resource("contract_closing").await? else {
        return Err(Broken("the world cannot make a resource with a plain name".into()));
    };
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?, gone.clone()]).await?;
    stage.can_use(&person, &gone).await?;
    stage.world.drop_resource(&gone.resource).await?;
    stage.put_away(&target, &account).await
}
