//! A target that is brought back from a backup, and one that is another than before.

use super::foreign::closing_leaves_alone;
use super::stage::{Broken, Stage, Told, ensure, present, refused, set};
use crate::Target;
use model::{Code, Login, MarkState};

pub(super) async fn an_account_from_the_backup_is_closed(stage: &Stage<'_>) -> Result<(), Broken> {
    let a = stage.plain(0)?;
    let target = stage.target().await?;
    let (old, olds) = stage.opened(&target, "old", std::slice::from_ref(&a)).await?;
    let backup = stage.world.backup().await?;
    stage.put_away(&target, &olds).await?;
    let (new, news) = stage.opened(&target, "new", std::slice::from_ref(&a)).await?;
    stage.world.restore(&*backup).await?;

    let target = stage.target().await?;
    ensure(present(&target, &olds).await?.login == Login::Open, "the world restored nothing")?;
    let mut sightings = vec![];
    target.survey(&mut sightings).await.told("survey")?;
    let seen = sightings.iter().find(|sighting| Some(&sighting.found.immutable) == olds.immutable.as_ref());
    let valid = seen.is_some_and(|sighting| matches!(sighting.found.mark, MarkState::Valid(_)));
    ensure(valid, "the survey does not see an account that came back with the backup")?;
    stage.can_use(&old, &a).await?;
    stage.close(&target, &olds).await?;
    stage.locked_out(&old, &a.resource, "after closing what came back").await?;
    // What was made after the backup is gone; closing it finds nothing to do.
    stage.close(&target, &news).await?;
    stage.locked_out(&new, &a.resource, "after the restore").await?;
    stage.put_away(&target, &olds).await
}

pub(super) async fn a_mark_from_elsewhere_is_not_believed(stage: &Stage<'_>) -> Result<(), Broken> {
    let Some(elsewhere) = stage.world.elsewhere() else { return Err(Broken("there is no elsewhere".into())) };
    let wanted = set(&[stage.plain(0)?]);
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let mark = stage.world.mark(person.name()).await?;
    elsewhere.plant_account(person.name()).await?;
    elsewhere.put_mark(person.name(), mark.as_deref()).await?;

    let other = Stage { world: elsewhere, run: stage.run, case: stage.case, now: stage.now };
    let there = other.target().await?;
    closing_leaves_alone(&other, &there, &person.by_name()).await?;
    let codes = [Code::ACCOUNT_FOREIGN, Code::ACCOUNT_TAMPERED];
    refused(there.create(&stage.spec(&person, &wanted)).await, &codes, "create over a mark from elsewhere")?;
    elsewhere.drop_account(person.name()).await?;
    stage.put_away(&target, &account).await
}
