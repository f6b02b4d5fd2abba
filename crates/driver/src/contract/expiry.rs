//! Native expiry: what the target itself does when the agent is dead.

use model::{MarkState, Revision, Span, Timestamp};

use super::stage::{Broken, Stage, Told, ensure, equal, present, set};
use crate::Target;

fn in_secs(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_secs)
}

pub(super) async fn an_account_past_its_expiry_opens_nothing(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let wanted = set(std::slice::from_ref(&a));
    let person = stage.person("ann")?;
    let past = stage.now.minus(Span::from_mins(1));
    let mut order = stage.order(&person, &wanted);
    order.spec.expires = Some(past);
    let account = target.open(&order).await.told("open")?;
    equal(
        &in_secs(present(&target, &account).await?.expires),
        &in_secs(Some(past)),
        "expiry that observe tells",
    )?;
    stage.locked_out(&person, &a.resource, "past the native expiry").await?;
    let mark = stage.mark(&person.account, &wanted, 2);
    target.renew(&account, &mark, Some(stage.until())).await.told("renew")?;
    stage.can_use(&person, &a).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn renewing_moves_expiry_and_mark(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let wanted = set(std::slice::from_ref(&a));
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let found = present(&target, &account).await?;
    equal(&in_secs(found.expires), &in_secs(Some(stage.until())), "expiry after open")?;
    let later = stage.until().plus(Span::from_hours(3));
    let mut mark = stage.mark(&person.account, &wanted, 7);
    mark.until = Some(later);
    mark.deadlines.iter_mut().for_each(|deadline| deadline.until = later);
    target.renew(&account, &mark, Some(later)).await.told("renew")?;
    let found = present(&target, &account).await?;
    equal(&in_secs(found.expires), &in_secs(Some(later)), "expiry after renew")?;
    if let MarkState::Valid(found) = &found.mark {
        equal(&found.draft.revision, &Revision(7), "revision of a renewed mark")?;
        equal(&found.draft.until, &Some(later), "deadline in a renewed mark")?;
    } else {
        ensure(found.mark == MarkState::Missing, format!("the mark after renew is {:?}", found.mark))?;
    }
    stage.can_use(&person, &a).await?;
    let past = stage.now.minus(Span::from_mins(1));
    target.renew(&account, &mark, Some(past)).await.told("renew to the past")?;
    stage.locked_out(&person, &a.resource, "renewed to the past").await?;
    stage.put_away(&target, &account).await
}
