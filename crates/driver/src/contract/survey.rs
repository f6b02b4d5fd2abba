//! The survey: all of ours, all that looks like ours, nothing else.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::{Code, Failure, MarkState, Sighting};

use super::foreign::forgeries;
use super::stage::{Broken, Stage, Told, ensure, equal, present};
use crate::manifest::MarkClass;
use crate::{HeirPolicy, SightingSink, Target};

async fn survey(target: &dyn Target) -> Result<Vec<Sighting>, Broken> {
    let mut found = vec![];
    target.survey(&mut found).await.told("survey")?;
    let distinct: BTreeSet<_> = found.iter().map(|sighting: &Sighting| &sighting.found.immutable).collect();
    equal(&distinct.len(), &found.len(), "accounts told once")?;
    Ok(found)
}

pub(super) async fn it_sees_ours_and_nothing_else(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (_, open) = stage.opened(&target, "open", std::slice::from_ref(&a)).await?;
    let (_, shut) = stage.opened(&target, "shut", std::slice::from_ref(&a)).await?;
    stage.close(&target, &shut).await?;
    let made =
        target.create(&stage.spec(&stage.person("made")?, &super::stage::set(&[]))).await.told("create")?;
    let (_, gone) = stage.opened(&target, "gone", std::slice::from_ref(&a)).await?;
    stage.put_away(&target, &gone).await?;
    let stranger = stage.person("stranger")?;
    stage.world.plant_account(stranger.name()).await?;

    let before = stage.world.inventory().await?;
    let found = survey(&target).await?;
    super::check::unchanged(&before, &stage.world.inventory().await?, "survey")?;
    for (which, account) in [("open", &open), ("shut", &shut), ("made, never opened", &made)] {
        let seen =
            found.iter().find(|sighting| Some(&sighting.found.immutable) == account.immutable.as_ref());
        let Some(seen) = seen else {
            return Err(Broken(format!("the survey misses an account that is {which}")));
        };
        equal(&seen.found.name, &account.name, "name in the survey")?;
        if stage.world.driver().manifest().mark == MarkClass::Full {
            ensure(
                matches!(seen.found.mark, MarkState::Valid(_)),
                "a mark of ours is not valid in the survey",
            )?;
        }
    }
    let names: BTreeSet<_> = found.iter().map(|sighting| &sighting.found.name).collect();
    ensure(!names.contains(&gone.name), "the survey sees a deleted account")?;
    ensure(!names.contains(stranger.name()), "the survey sees an account that is not ours and has no mark")?;
    stage.world.drop_account(stranger.name()).await?;
    target.delete(&made, HeirPolicy::KeepShut).await.told("delete")?;
    stage.put_away(&target, &shut).await?;
    stage.put_away(&target, &open).await
}

pub(super) async fn it_sees_what_looks_like_ours(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let mark = stage.world.mark(person.name()).await?.unwrap_or_default();
    let copy = stage.person("copy")?;
    let planted = stage.world.plant_account(copy.name()).await?;
    let mut rows = vec![("copied", mark.clone(), true)];
    rows.extend(forgeries(&mark).into_iter().map(|(name, text)| (name, text, false)));
    for (name, text, copied) in rows {
        stage.world.put_mark(copy.name(), Some(&text)).await?;
        let found = survey(&target).await?;
        let Some(seen) = found.iter().find(|sighting| sighting.found.immutable == planted.immutable) else {
            return Err(Broken(format!("the survey misses a mark that is {name}")));
        };
        let expected = if copied {
            seen.found.mark == MarkState::Copied
        } else {
            matches!(seen.found.mark, MarkState::Forged | MarkState::Foreign)
        };
        ensure(expected, format!("a mark that is {name} is told as {:?}", seen.found.mark))?;
    }
    stage.world.drop_account(copy.name()).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn it_sees_what_observe_sees(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (_, account) = stage.opened(&target, "ann", &[stage.plain(0)?, stage.plain(1)?]).await?;
    let observed = present(&target, &account).await?;
    let found = survey(&target).await?;
    let seen = found.into_iter().find(|sighting| sighting.found.immutable == observed.immutable);
    equal(&seen.map(|sighting| sighting.found), &Some(observed), "sighting of an account")?;
    stage.put_away(&target, &account).await
}

/// Takes one piece and then has had enough.
struct Full(u32);

#[async_trait]
impl SightingSink for Full {
    async fn take(&mut self, _: Vec<Sighting>) -> Result<(), Failure> {
        self.0 += 1;
        Err(Failure::refused(Code::BUDGET_EXCEEDED, "enough"))
    }
}

pub(super) async fn it_stops_when_its_reader_does(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (_, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let mut full = Full(0);
    let answer = target.survey(&mut full).await;
    equal(
        &answer.map_err(|failure| failure.code),
        &Err(Code::BUDGET_EXCEEDED),
        "answer of a stopped survey",
    )?;
    equal(&full.0, &1, "pieces told to a reader that has had enough")?;
    stage.put_away(&target, &account).await
}
