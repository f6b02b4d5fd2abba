//! Overlap: an account holds the union of its accesses; what ends takes nothing from what stays.

use model::{Code, Login, Rung};

use super::stage::{Broken, Stage, Told, ensure, equal, holds, present, set};
use super::world::Use;
use crate::Target;

pub(super) async fn ending_one_leaves_the_other(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (person, account) = stage.opened(&target, "ann", &[a.clone(), b.clone()]).await?;
    let mut kept = stage.login(&person, &b).await?;
    target.grant(&account, &set(std::slice::from_ref(&b))).await.told("grant of what stays")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&b), "after one access ended").await?;
    equal(&kept.try_use(&b).await?, &Use::Works, "the other access in its open session")?;
    stage.can_use(&person, &b).await?;
    stage.is_denied(&person, &a).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn joining_keeps_the_credential(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let mut session = stage.login(&person, &a).await?;
    let both = set(&[a.clone(), b.clone()]);
    target.grant(&account, &both).await.told("grant of the union")?;
    let mark = stage.mark(&person.account, &both, 2);
    target.renew(&account, &mark, stage.expires(stage.until())).await.told("renew")?;
    equal(&session.try_use(&a).await?, &Use::Works, "the first access in its open session")?;
    stage.can_use(&person, &a).await?;
    stage.can_use(&person, &b).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn the_narrow_stays_when_the_wide_ends(stage: &Stage<'_>) -> Result<(), Broken> {
    let Some((narrow, wide)) = stage.world.levels() else { return Err(Broken("there are no levels".into())) };
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[narrow.clone(), wide.clone()]).await?;
    stage.can_use(&person, &narrow).await?;
    stage.can_use(&person, &wide).await?;
    target.grant(&account, &set(std::slice::from_ref(&narrow))).await.told("grant of the narrow one")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&narrow), "after the wide one ended").await?;
    stage.can_use(&person, &narrow).await?;
    stage.is_denied(&person, &wide).await?;
    target.grant(&account, &set(std::slice::from_ref(&wide))).await.told("grant of the wide one")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&wide), "after the narrow one ended").await?;
    stage.can_use(&person, &wide).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn two_grantees_share_a_resource(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (ann, anns) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let (bob, bobs) = stage.opened(&target, "bob", std::slice::from_ref(&a)).await?;
    stage.put_away(&target, &anns).await?;
    holds(&target, &bobs, Login::Open, std::slice::from_ref(&a), "after another grantee's close").await?;
    stage.can_use(&bob, &a).await?;
    stage.locked_out(&ann, &a.resource, "after the close").await?;
    stage.put_away(&target, &bobs).await
}

pub(super) async fn a_lost_right_is_lost_in_open_sessions(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (person, account) = stage.opened(&target, "ann", &[a.clone(), b.clone()]).await?;
    let mut session = stage.login(&person, &a).await?;
    equal(&session.try_use(&a).await?, &Use::Works, "the right before it is taken")?;
    target.grant(&account, &set(std::slice::from_ref(&b))).await.told("grant of what stays")?;
    let version = target.check().await.told("check")?.version;
    if stage.world.driver().manifest().rights_survive_in_sessions.holds_for(&version) {
        target.revoke(&account, Rung::EndSessions).await.told("end_sessions")?;
    }
    ensure(session.try_use(&a).await? != Use::Works, "a right that was taken goes on in an open session")?;
    stage.can_use(&person, &b).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_vanished_resource_does_not_hold_up_an_ending(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let Some(gone) = stage.world.make_resource("contract_overlap").await? else {
        return Err(Broken("the world cannot make a resource with a plain name".into()));
    };
    let (person, account) = stage.opened(&target, "ann", &[a.clone(), gone.clone()]).await?;
    stage.world.drop_resource(&gone.resource).await?;
    // One access wants what has vanished and lives on; the other one ends.
    match target.grant(&account, &set(&[gone])).await {
        Ok(()) => {}
        Err(failure) => equal(&failure.code, &Code::RESOURCE_MISSING, "granting what has vanished")?,
    }
    ensure(!present(&target, &account).await?.entitlements.contains(&a), "what ended is still held")?;
    stage.is_denied(&person, &a).await?;
    stage.put_away(&target, &account).await
}
