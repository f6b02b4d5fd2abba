//! A grantee who fights back is closed all the same, if not at the first try.

use std::time::Duration;

use model::{Observed, Residual, ResidualKind};

use super::stage::{Broken, LADDER, Stage, Told, ensure};
use crate::Target;

/// How long the fight may take, and how long to breathe between two climbs.
const FIGHT: Duration = Duration::from_secs(90);
const BREATH: Duration = Duration::from_millis(100);

pub(super) async fn a_grantee_that_resists_is_closed(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "mallory", std::slice::from_ref(&a)).await?;
    let resistance = stage.world.resist(person.name(), &person.clear, &a.resource).await?;
    let fight = async {
        loop {
            let mut last = String::new();
            for rung in LADDER {
                if let Err(failure) = target.revoke(&account, rung).await {
                    last = format!("{}: {failure}", rung.word());
                }
            }
            match target.observe(&account).await {
                Ok(observed) if is_over(&observed) => return,
                Ok(observed) => tracing::debug!(?observed, last, "Not closed yet"),
                Err(failure) => tracing::debug!(%failure, "Not seen"),
            }
            tokio::time::sleep(BREATH).await;
        }
    };
    let won = tokio::time::timeout(FIGHT, fight).await;
    // Still fighting: what was seen closed has to stay so.
    let still = target.observe(&account).await.told("observe")?;
    resistance.stop().await;
    ensure(won.is_ok(), format!("the account is not closed after {FIGHT:?}: {still:?}"))?;
    ensure(is_over(&still), "the account opened again by itself")?;
    stage.locked_out(&person, &a.resource, "after the fight").await?;
    stage.put_away(&target, &account).await
}

/// Closed, and no transaction waits to be committed by somebody else.
fn is_over(observed: &Observed) -> bool {
    let waits = |residual: &Residual| residual.kind == ResidualKind::PreparedTransaction;
    observed.is_closed() && !observed.account.as_ref().is_some_and(|found| found.residual.iter().any(waits))
}
