//! Many at once: openings and closings on one resource do not trip over one another.

use std::time::Duration;

use futures_util::future::join_all;
use model::{Certainty, Failure, InstanceId, Login, Rung};
use uuid::Uuid;

use super::stage::{Broken, LADDER, Stage, Told, ensure, equal, holds, set};
use crate::{Caller, HeirPolicy, Target, TargetContext};

const AT_ONCE: usize = 32;
/// How often the agent would try again within the time that a case has.
const TRIES: u32 = 8;
const BREATH: Duration = Duration::from_millis(50);

/// Does it again while the target says that it is only busy, as the agent would.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    what: &str,
    mut verb: impl FnMut() -> F,
) -> Result<T, Broken> {
    for n in 1..TRIES {
        match verb().await {
            Err(failure) if failure.certainty != Certainty::Refused => {
                tracing::debug!(%failure, n, "Trying again");
                tokio::time::sleep(BREATH * n).await;
            }
            answer => return answer.told(what),
        }
    }
    verb().await.told(what)
}

fn all<T>(answers: Vec<Result<T, Broken>>) -> Result<Vec<T>, Broken> {
    answers.into_iter().collect()
}

pub(super) async fn thirty_two_at_once_on_one_resource(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let wanted = set(std::slice::from_ref(&a));
    let mut people = vec![];
    for n in 0..AT_ONCE {
        people.push(stage.person(&format!("p{n}"))?);
    }
    let orders: Vec<_> = people.iter().map(|person| stage.order(person, &wanted)).collect();
    let accounts = all(join_all(orders.iter().map(|order| patiently("open", || target.open(order)))).await)?;
    let ids: std::collections::BTreeSet<_> = accounts.iter().map(|account| &account.immutable).collect();
    equal(&ids.len(), &AT_ONCE, "accounts opened at once")?;
    for (person, account) in people.iter().zip(&accounts) {
        holds(&target, account, Login::Open, std::slice::from_ref(&a), "after openings at once").await?;
        stage.can_use(person, &a).await?;
    }

    for rung in LADDER {
        let climb = accounts.iter().map(|account| patiently(rung.word(), || target.revoke(account, rung)));
        all(join_all(climb).await)?;
    }
    let seen =
        all(join_all(accounts.iter().map(|account| patiently("observe", || target.observe(account)))).await)?;
    let closed = seen.iter().filter(|observed| observed.is_closed()).count();
    equal(&closed, &AT_ONCE, "accounts closed at once")?;
    let delete = |account| target.delete(account, HeirPolicy::HandOver);
    all(join_all(accounts.iter().map(|account| patiently("delete", move || delete(account)))).await)?;
    for account in &accounts {
        ensure(target.observe(account).await.told("observe")?.is_absent(), "an account is still there")?;
    }
    Ok(())
}

pub(super) async fn two_instances_do_the_same_at_once(stage: &Stage<'_>) -> Result<(), Broken> {
    let first = stage.target().await?;
    let caller = Caller::new(InstanceId::from_uuid(Uuid::from_u128(8)), 2);
    let second = stage.target_as(TargetContext { caller, ..stage.run.context.clone() }).await?;
    let a = stage.plain(0)?;
    let wanted = set(std::slice::from_ref(&a));
    for round in 0..4 {
        let person = stage.person(&format!("p{round}"))?;
        let (one, other) = (stage.order(&person, &wanted), stage.order(&person, &wanted));
        let (one, other) =
            tokio::join!(patiently("open", || first.open(&one)), patiently("open", || second.open(&other)));
        let (account, same) = (one?, other?);
        equal(&same, &account, "account opened by two at once")?;
        holds(&first, &account, Login::Open, std::slice::from_ref(&a), "opened by two at once").await?;
        stage.can_use(&person, &a).await?;
        for rung in [Rung::ShutLogin, Rung::Strip, Rung::Scramble, Rung::EndSessions] {
            let (one, other) = tokio::join!(
                patiently(rung.word(), || first.revoke(&account, rung)),
                patiently(rung.word(), || second.revoke(&account, rung))
            );
            one.and(other)?;
        }
        stage.close(&first, &account).await?;
        let (one, other) = tokio::join!(
            patiently("delete", || first.delete(&account, HeirPolicy::KeepShut)),
            patiently("delete", || second.delete(&account, HeirPolicy::KeepShut))
        );
        one.and(other)?;
        ensure(first.observe(&account).await.told("observe")?.is_absent(), "the account is still there")?;
    }
    Ok(())
}
