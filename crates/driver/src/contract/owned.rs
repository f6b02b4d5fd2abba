//! What an account owns: reported, kept or handed to somebody powerless; never a reason to stay open.

use model::{Code, ResidualKind};

use super::stage::{Broken, Stage, Told, ensure, equal, present, refused};
use super::world::Fate;
use crate::{HeirPolicy, Target};

pub(super) async fn owned_objects_are_reported_and_kept_or_handed_over(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let objects = stage.world.plant_owned(person.name()).await?;
    ensure(!objects.is_empty(), "the world planted nothing")?;
    stage.close(&target, &account).await?;
    let found = present(&target, &account).await?;
    ensure(
        found.residual.iter().any(|residual| residual.kind == ResidualKind::OwnedObjects),
        format!("owned objects are not in the residual: {:?}", found.residual),
    )?;

    let answer = target.delete(&account, HeirPolicy::KeepShut).await;
    refused(answer, &[Code::OWNED_OBJECTS], "deleting an account that owns something, without an heir")?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(!observed.is_absent() && observed.is_closed(), "a refused delete left the account gone or open")?;
    for object in &objects {
        equal(&stage.world.fate(object).await?, &Fate::OwnedBy(person.name().0.clone()), object)?;
    }

    target.delete(&account, HeirPolicy::HandOver).await.told("deleting with an heir")?;
    ensure(target.observe(&account).await.told("observe")?.is_absent(), "the account is still there")?;
    for object in &objects {
        equal(&stage.world.fate(object).await?, &Fate::OwnedByPowerless, object)?;
    }
    target.delete(&account, HeirPolicy::HandOver).await.told("the second delete")?;
    clear(stage, &objects).await
}

/// Removes what was handed over, so that whoever has it now can be retired.
async fn clear(stage: &Stage<'_>, objects: &[String]) -> Result<(), Broken> {
    for object in objects {
        stage.world.remove_owned(object).await?;
    }
    Ok(())
}

pub(super) async fn what_it_owns_does_not_hold_up_a_close(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let objects = stage.world.plant_owned(person.name()).await?;
    stage.close(&target, &account).await?;
    stage.locked_out(&person, &a.resource, "after the ladder").await?;
    stage.put_away(&target, &account).await?;
    clear(stage, &objects).await
}
