//! A target that is silent, or gone and back: verbs end in time and tell the truth, and the driver finds
//! its way back without being made anew.

use std::time::Duration;

use model::{Certainty, Failure, Rung};

use super::stage::{Broken, LADDER, Stage, Told, ensure, set};
use super::wire::Cut;
use crate::{HeirPolicy, Target};

/// How long a verb may wait for a silent target. Reads may take 30 s, and a verb may first find its
/// connection dead.
const SILENCE: Duration = Duration::from_secs(70);
/// How much later a slow target answers each question.
const SLOW: Duration = Duration::from_millis(60);
/// How often a verb may fail after the target is back.
const TRIES: u32 = 10;

pub(super) async fn a_half_open_target_is_given_up_in_time(stage: &Stage<'_>) -> Result<(), Broken> {
    let a = stage.plain(0)?;
    let fresh = stage.target().await?;
    let (person, account) = stage.opened(&fresh, "ann", std::slice::from_ref(&a)).await?;
    let (target, wire) = stage.wired().await?;
    // The first question makes the connection; the silence comes later.
    target.observe(&account).await.told("observe")?;
    wire.mute().await;
    let wanted = set(&[]);
    let answers = tokio::join!(
        in_time("observe", async { target.observe(&account).await.map(|_| ()) }),
        in_time("grant", target.grant(&account, &wanted)),
        in_time("shut_login", target.revoke(&account, Rung::ShutLogin)),
        in_time("delete", target.delete(&account, HeirPolicy::KeepShut)),
    );
    wire.mend().await;
    for (verb, answer) in
        [("observe", answers.0), ("grant", answers.1), ("shut_login", answers.2), ("delete", answers.3)]
    {
        match answer? {
            Ok(()) => return Err(Broken(format!("{verb} succeeded on a silent target"))),
            Err(failure) => ensure(
                failure.certainty != Certainty::Refused,
                format!("{verb} on a silent target is refused for ever: {failure}"),
            )?,
        }
    }
    stage.can_use(&person, &a).await?;
    stage.put_away(&fresh, &account).await
}

/// Answers come late, as over a long line or from a busy server: everything takes longer and comes to the same.
pub(super) async fn a_slow_target_is_waited_for(stage: &Stage<'_>) -> Result<(), Broken> {
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (target, wire) = stage.wired().await?;
    wire.slow(SLOW).await;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.can_use(&person, &a).await?;
    target.grant(&account, &set(&[a.clone(), b.clone()])).await.told("grant on a slow target")?;
    stage.can_use(&person, &b).await?;
    target.grant(&account, &set(&[b])).await.told("take away on a slow target")?;
    for rung in LADDER {
        target.revoke(&account, rung).await.told(&format!("{} on a slow target", rung.word()))?;
    }
    let observed = target.observe(&account).await.told("observe on a slow target")?;
    ensure(observed.is_closed(), format!("not closed on a slow target: {observed:?}"))?;
    target.delete(&account, HeirPolicy::KeepShut).await.told("delete on a slow target")?;
    wire.mend().await;
    let observed = stage.target().await?.observe(&account).await.told("observe")?;
    ensure(observed.is_absent(), "what was deleted on a slow target is there")
}

async fn in_time(
    verb: &str,
    answer: impl Future<Output = Result<(), Failure>>,
) -> Result<Result<(), Failure>, Broken> {
    tokio::time::timeout(SILENCE, answer)
        .await
        .map_err(|_| Broken(format!("{verb} still waits for a silent target after {SILENCE:?}")))
}

pub(super) async fn it_connects_again_by_itself(stage: &Stage<'_>) -> Result<(), Broken> {
    let a = stage.plain(0)?;
    let fresh = stage.target().await?;
    let (_, account) = stage.opened(&fresh, "ann", std::slice::from_ref(&a)).await?;
    let (target, wire) = stage.wired().await?;
    for outage in ["torn", "silent"] {
        target.observe(&account).await.told("observe")?;
        if outage == "torn" {
            wire.cut(Cut::Before(1)).await;
            let answer = target.observe(&account).await;
            ensure(answer.is_err() && wire.was_cut(), "a torn connection still answers")?;
        } else {
            wire.mute().await;
        }
        wire.mend().await;
        let mut last = None;
        for _ in 0..TRIES {
            last = target.observe(&account).await.err();
            if last.is_none() {
                break;
            }
        }
        if let Some(failure) = last {
            return Err(failure).told(&format!("observing {TRIES} times after the target was {outage}"));
        }
    }
    stage.put_away(&target, &account).await
}
