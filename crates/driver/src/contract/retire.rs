//! Retiring: nothing of ours is left. Looks back on all cases before it.

use super::stage::{Broken, Stage, Told, ensure};
use crate::Target;

pub(super) async fn nothing_of_ours_is_left(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (_, account) = stage.opened(&target, "ann", &stage.world.plain()).await?;
    stage.put_away(&target, &account).await?;
    let report = target.retire().await.told("retire")?;
    ensure(report.left.is_empty(), format!("retire had to leave {:?}", report.left))?;
    super::check::unchanged(&stage.run.before, &stage.world.inventory().await?, "everything before retire")?;
    let again = target.retire().await.told("the second retire")?;
    ensure(again.removed.is_empty(), format!("the second retire still removed {:?}", again.removed))?;
    super::check::unchanged(&stage.run.before, &stage.world.inventory().await?, "the second retire")
}
