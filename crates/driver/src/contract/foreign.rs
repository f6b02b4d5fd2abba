//! What is not ours is never touched; what is ours is closed, whatever was done to its mark or name.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{AccountName, AccountRef, Code, ConnectorId, Failure, MarkState, Rung};
use seal::keys::MarkKey;
use seal::mark::MarkKeys;

use super::stage::{Broken, LADDER, Stage, Told, ensure, equal, present, refused, set};
use super::world::{Planted, World};
use crate::{HeirPolicy, Target, TargetContext};

/// What a driver may say when it leaves an account alone while closing.
const LEFT_ALONE: [Code; 3] = [Code::ACCOUNT_FOREIGN, Code::ACCOUNT_TAMPERED, Code::ACCOUNT_MISSING];
/// What a driver may say when it refuses to open an account that is not ours.
const NOT_OURS: [Code; 2] = [Code::ACCOUNT_FOREIGN, Code::ACCOUNT_TAMPERED];

/// Returns what the inventory says about an account.
pub(super) async fn about(world: &dyn World, name: &AccountName) -> Result<BTreeSet<String>, Broken> {
    Ok(world.inventory().await?.into_iter().filter(|line| line.contains(&name.0)).collect())
}

fn left_alone(answer: Result<(), Failure>, doing: &str) -> Result<(), Broken> {
    match answer {
        Ok(()) => Ok(()),
        Err(failure) => ensure(LEFT_ALONE.contains(&failure.code), format!("{doing} answers {failure}")),
    }
}

/// Tries to close and delete what is not ours, and expects that nothing of it changes.
pub(super) async fn closing_leaves_alone(
    stage: &Stage<'_>,
    target: &dyn Target,
    account: &AccountRef,
) -> Result<(), Broken> {
    let before = about(stage.world, &account.name).await?;
    ensure(!before.is_empty(), "the inventory does not name the account")?;
    for rung in LADDER {
        left_alone(target.revoke(account, rung).await, rung.word())?;
    }
    for heir in [HeirPolicy::KeepShut, HeirPolicy::HandOver] {
        left_alone(target.delete(account, heir).await, "delete")?;
    }
    match target.observe(account).await {
        Ok(observed) => {
            ensure(observed.is_absent(), format!("what is not ours is observed as ours: {observed:?}"))?;
        }
        Err(failure) => equal(&failure.code, &Code::ACCOUNT_FOREIGN, "observing what is not ours")?,
    }
    super::check::unchanged(&before, &about(stage.world, &account.name).await?, "closing what is not ours")
}

/// Expects that a planted account can still be logged in to, and removes it.
async fn remove_intact(stage: &Stage<'_>, name: &AccountName, planted: &Planted) -> Result<(), Broken> {
    let near = stage.plain(0)?.resource;
    let session = stage.world.login(name, &planted.credential, &near).await?;
    ensure(session.is_some(), "a foreign account cannot be logged in to any more")?;
    drop(session);
    Ok(stage.world.drop_account(name).await?)
}

pub(super) async fn a_foreign_account_of_our_name_is_not_touched(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let person = stage.person("ann")?;
    let wanted = set(&[stage.plain(0)?]);
    let planted = stage.world.plant_account(person.name()).await?;
    let before = about(stage.world, person.name()).await?;
    let mut session =
        stage.world.login(person.name(), &planted.credential, &stage.plain(0)?.resource).await?;

    refused(target.create(&stage.spec(&person, &wanted)).await, &[Code::ACCOUNT_FOREIGN], "create")?;
    refused(target.open(&stage.order(&person, &wanted)).await, &[Code::ACCOUNT_FOREIGN], "open")?;
    super::check::unchanged(&before, &about(stage.world, person.name()).await?, "a refused opening")?;
    closing_leaves_alone(stage, &target, &person.by_name()).await?;
    if let Some(session) = session.as_mut().filter(|_| stage.world.can().hold_sessions) {
        ensure(session.is_alive().await, "a session of a foreign account was ended")?;
    }
    drop(session);
    remove_intact(stage, person.name(), &planted).await
}

pub(super) async fn a_foreign_account_in_place_of_ours_is_not_touched(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?]);
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    stage.world.drop_account(person.name()).await?;
    let planted = stage.world.plant_account(person.name()).await?;
    ensure(Some(&planted.immutable) != account.immutable.as_ref(), "the world reuses immutable ids at once")?;
    let before = about(stage.world, person.name()).await?;
    let mark = stage.mark(&person.account, &wanted, 2);
    let answers = [
        ("grant", target.grant(&account, &wanted).await),
        ("rotate", target.rotate(&account, &person.credential()).await),
        ("enable", target.enable(&account).await),
        ("renew", target.renew(&account, &mark, stage.expires(stage.until())).await),
    ];
    for (verb, answer) in answers {
        let Err(failure) = answer else {
            return Err(Broken(format!("{verb} took a foreign account for ours")));
        };
        ensure(LEFT_ALONE.contains(&failure.code), format!("{verb} answers {failure}"))?;
    }
    super::check::unchanged(&before, &about(stage.world, person.name()).await?, "opening verbs")?;
    closing_leaves_alone(stage, &target, &account).await?;
    remove_intact(stage, person.name(), &planted).await
}

pub(super) async fn an_unmarked_account_is_closed_by_its_immutable_id(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.world.put_mark(person.name(), None).await?;
    equal(&present(&target, &account).await?.mark, &MarkState::Missing, "mark that was removed")?;
    let by_name = target.observe(&person.by_name()).await.told("observing by name")?;
    ensure(by_name.is_absent(), "an account without a mark is found by its name alone")?;
    stage.close(&target, &account).await?;
    stage.locked_out(&person, &a.resource, "after the ladder").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_renamed_account_is_closed_by_its_immutable_id(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (mut person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let renamed = stage.person("renamed")?.account.name;
    stage.world.rename_account(person.name(), &renamed).await?;
    person.account.name = renamed;
    let found = present(&target, &account).await?;
    equal(&found.name, person.name(), "name of a renamed account")?;
    equal(&Some(found.immutable), &account.immutable, "immutable id of a renamed account")?;
    stage.close(&target, &account).await?;
    stage.locked_out(&person, &a.resource, "after the ladder, under the new name").await?;
    stage.put_away(&target, &account).await?;
    equal(&about(stage.world, person.name()).await?, &BTreeSet::new(), "what is left of a renamed account")
}

/// Returns texts that look like a mark and are not what we wrote.
pub(super) fn forgeries(mark: &str) -> Vec<(&'static str, String)> {
    let changed = |nth: usize| {
        let swap = |(n, c): (usize, char)| match c {
            _ if n != nth => c,
            'A' => 'B',
            _ => 'A',
        };
        mark.chars().enumerate().map(swap).collect::<String>()
    };
    let cut = |less: usize| mark.chars().take(mark.chars().count().saturating_sub(less)).collect::<String>();
    vec![
        ("payload changed", changed(20)),
        ("tag changed", changed(mark.chars().count().saturating_sub(5))),
        ("cut short", cut(4)),
        ("cut to its head", mark.chars().take(12).collect()),
        ("nothing but a head", "tidegate:".into()),
        ("hostile text", "tidegate:1:'\"; --:\u{202e}\u{1f980}:x".into()),
    ]
}

pub(super) async fn a_forged_mark_is_not_believed(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let Some(mark) = stage.world.mark(person.name()).await? else {
        return Err(Broken("the world finds no mark on an account of ours".into()));
    };
    for (name, forgery) in forgeries(&mark) {
        stage.world.put_mark(person.name(), Some(&forgery)).await?;
        let found = present(&target, &account).await?.mark;
        ensure(!matches!(found, MarkState::Valid(_)), format!("a mark with its {name} is believed"))?;
        closing_leaves_alone(stage, &target, &person.by_name())
            .await
            .map_err(|Broken(found)| Broken(format!("{name}: {found}")))?;
        let answer = target.create(&stage.spec(&person, &set(std::slice::from_ref(&a)))).await;
        refused(answer, &NOT_OURS, &format!("create on an account with a mark with its {name}"))?;
        stage.can_use(&person, &a).await?;
    }
    stage.put_away(&target, &account).await
}

pub(super) async fn a_copied_mark_is_not_believed(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?]);
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let mark = stage.world.mark(person.name()).await?;
    let victim = stage.person("victim")?;
    let planted = stage.world.plant_account(victim.name()).await?;
    stage.world.put_mark(victim.name(), mark.as_deref()).await?;
    // Known by the id of either account, the mark is on the wrong one.
    for id in [victim.account.id, person.account.id] {
        let known = AccountRef { id, ..victim.by_name() };
        closing_leaves_alone(stage, &target, &known).await?;
        let mut spec = stage.spec(&victim, &wanted);
        spec.account.id = id;
        spec.mark.account = id;
        refused(target.create(&spec).await, &NOT_OURS, "create on an account with a copied mark")?;
    }
    remove_intact(stage, victim.name(), &planted).await?;
    stage.can_use(&person, &stage.plain(0)?).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_mark_of_another_account_of_ours_is_not_believed(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (ann, anns) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let bob = stage.person("bob")?;
    // A journal that has mixed up names: Bob's account is said to have Ann's name.
    let confused = AccountRef { id: bob.account.id, ..ann.by_name() };
    closing_leaves_alone(stage, &target, &confused).await?;
    let mut spec = stage.spec(&bob, &set(std::slice::from_ref(&a)));
    spec.account.name = ann.account.name.clone();
    refused(target.create(&spec).await, &NOT_OURS, "create under the name of another account of ours")?;
    stage.can_use(&ann, &a).await?;
    stage.put_away(&target, &anns).await
}

pub(super) async fn another_connectors_account_is_not_touched(stage: &Stage<'_>) -> Result<(), Broken> {
    let broken = |fault: &dyn std::fmt::Display| Broken(fault.to_string());
    let connector = ConnectorId::parse("contract-neighbour").map_err(|fault| broken(&fault))?;
    let key = MarkKey::generate().map_err(|fault| broken(&fault))?;
    let marks = Arc::new(MarkKeys::new(connector.clone(), key, vec![]));
    let theirs =
        stage.target_as(TargetContext { connector: connector.clone(), marks, ..stage.run.context.clone() });
    let (ours, theirs) = (stage.target().await?, theirs.await?);
    let a = stage.plain(0)?;
    let person = stage.person("ann")?;
    let mut order = stage.order(&person, &set(std::slice::from_ref(&a)));
    order.spec.mark.connector = connector;
    // One of ours on the same resource: what the two connectors share is in use by both.
    let (neighbour, neighbours) = stage.opened(&ours, "neighbour", std::slice::from_ref(&a)).await?;
    let before = about(stage.world, neighbour.name()).await?;
    let account = theirs.open(&order).await.told("opening as another connector")?;

    refused(ours.open(&stage.order(&person, &order.wanted)).await, &[Code::ACCOUNT_FOREIGN], "open")?;
    closing_leaves_alone(stage, &ours, &person.by_name()).await?;
    let mut sightings = vec![];
    ours.survey(&mut sightings).await.told("survey")?;
    for sighting in
        sightings.iter().filter(|sighting| Some(&sighting.found.immutable) == account.immutable.as_ref())
    {
        equal(&sighting.found.mark, &MarkState::Foreign, "mark of another connector in our survey")?;
    }
    stage.can_use(&person, &a).await?;
    let mut sessions = stage.login(&person, &a).await?;
    ours.revoke(&AccountRef { immutable: None, ..account.clone() }, Rung::EndSessions).await.or_else(
        |failure| ensure(LEFT_ALONE.contains(&failure.code), format!("end_sessions answers {failure}")),
    )?;
    if stage.world.can().hold_sessions {
        ensure(sessions.is_alive().await, "a session of another connector's account was ended")?;
    }
    stage.put_away(&theirs, &account).await?;
    theirs.retire().await.told("retiring as another connector")?;
    let after = about(stage.world, neighbour.name()).await?;
    super::check::unchanged(&before, &after, "another connector that came and went")?;
    stage.can_use(&neighbour, &a).await?;
    stage.put_away(&ours, &neighbours).await
}

/// The connector has lost its keys and got others: its own accounts look like somebody else's.
pub(super) async fn what_claims_to_be_ours_is_not_touched_and_not_called_absent(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let broken = |fault: &dyn std::fmt::Display| Broken(fault.to_string());
    let before = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&before, "ann", std::slice::from_ref(&a)).await?;
    let key = MarkKey::generate().map_err(|fault| broken(&fault))?;
    let marks = Arc::new(MarkKeys::new(stage.run.context.connector.clone(), key, vec![]));
    let after = stage.target_as(TargetContext { marks, ..stage.run.context.clone() }).await?;
    let by_name = person.by_name();
    closing_leaves_alone(stage, &after, &by_name).await?;
    let observed = after.observe(&by_name).await.map(|observed| observed.is_absent());
    match observed {
        Ok(_) => return Err(Broken("what may be an account of ours was called absent".into())),
        Err(failure) => equal(&failure.code, &Code::ACCOUNT_FOREIGN, "observing it without its keys")?,
    }
    // Somebody else's account of the same connector says nothing of this one.
    let nobody = AccountRef { id: stage.person("nobody")?.account.id, ..by_name };
    let observed = after.observe(&nobody).await.told("observe another one under that name")?;
    ensure(observed.is_absent(), "a mark of another account keeps this one from being absent")?;
    // Known by its immutable id it is closed, whatever its mark is worth.
    stage.can_use(&person, &a).await?;
    stage.put_away(&after, &account).await
}

pub(super) async fn a_shared_role_that_grew_is_reported_and_not_given(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (ann, anns) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    equal(&wider_roles(&target).await?, &vec![], "shared roles that have grown, before one has")?;
    stage.world.widen_role(ann.name()).await?;
    let grown = wider_roles(&target).await?;
    ensure(!grown.is_empty(), "it is not told which shared roles have grown")?;
    let found = present(&target, &anns).await?;
    ensure(!found.excess.is_empty(), "observe does not tell that a shared role has grown")?;
    let bob = stage.person("bob")?;
    let order = stage.order(&bob, &set(std::slice::from_ref(&a)));
    refused(
        target.open(&order).await,
        &[Code::PERMISSION_ROLE_WIDER],
        "giving a shared role that has grown",
    )?;
    stage.locked_out(&bob, &a.resource, "after a refused opening").await?;
    stage.close(&target, &anns).await?;
    let before = stage.world.inventory().await?;
    equal(&wider_roles(&target).await?, &grown, "shared roles that have grown, with nobody in them")?;
    super::check::unchanged(&before, &stage.world.inventory().await?, "looking at shared roles")?;
    stage.world.narrow_role(ann.name()).await?;
    equal(&wider_roles(&target).await?, &vec![], "shared roles that have grown, once none has")?;
    let bobs = target.open(&order).await.told("opening once the role is as it was")?;
    stage.can_use(&bob, &a).await?;
    stage.put_away(&target, &bobs).await?;
    stage.put_away(&target, &anns).await
}

async fn wider_roles(target: &dyn Target) -> Result<Vec<String>, Broken> {
    let mut found = vec![];
    target.wider_roles(&mut found).await.told("looking at shared roles")?;
    Ok(found)
}
