//! Opening: shut until the last step, exactly what was ordered, and the same when it is done again.

use model::{Certainty, Code, Entitlement, Login, MarkState, Permission, ResourceKind};

use model::observed::Present;

use super::stage::{Broken, Stage, Told, ensure, equal, holds, present, refused, set};
use crate::{HeirPolicy, Target};

pub(super) async fn an_account_is_shut_until_it_is_enabled(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let person = stage.person("ann")?;
    let wanted = set(std::slice::from_ref(&a));

    let account = target.create(&stage.spec(&person, &wanted)).await.told("create")?;
    equal(&account.id, &person.account.id, "id of the created account")?;
    equal(&account.name, person.name(), "name of the created account")?;
    let immutable = account.immutable.clone();
    ensure(immutable.is_some(), "create tells no immutable id")?;
    let found = holds(&target, &account, Login::Shut, &[], "after create").await?;
    equal(&Some(found.immutable), &immutable, "immutable id that observe tells")?;
    stage.locked_out(&person, &a.resource, "after create").await?;

    target.grant(&account, &wanted).await.told("grant")?;
    holds(&target, &account, Login::Shut, std::slice::from_ref(&a), "after grant").await?;
    stage.locked_out(&person, &a.resource, "after grant").await?;

    target.rotate(&account, &person.credential()).await.told("rotate")?;
    holds(&target, &account, Login::Shut, std::slice::from_ref(&a), "after rotate").await?;
    stage.locked_out(&person, &a.resource, "after rotate").await?;

    target.enable(&account).await.told("enable")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after enable").await?;
    stage.can_use(&person, &a).await?;
    stage.is_denied(&person, &b).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn open_is_create_grant_rotate_enable(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b, c) = (stage.plain(0)?, stage.plain(1)?, stage.plain(2)?);
    let (person, account) = stage.opened(&target, "ann", &[a.clone(), b.clone()]).await?;
    equal(&account.name, person.name(), "name of the opened account")?;
    let found = holds(&target, &account, Login::Open, &[a.clone(), b.clone()], "after open").await?;
    equal(&Some(found.immutable), &account.immutable, "immutable id that open tells")?;
    ensure(found.excess.is_empty(), format!("a new account has excess: {:?}", found.excess))?;
    stage.can_use(&person, &a).await?;
    stage.can_use(&person, &b).await?;
    stage.is_denied(&person, &c).await?;
    let same = target.observe(&person.by_name()).await.told("observing by name")?;
    equal(&same.account.map(|found| found.immutable), &account.immutable, "the account found by its mark")?;
    stage.put_away(&target, &account).await
}

pub(super) async fn every_verb_twice_is_once(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?, stage.plain(1)?]);
    let person = stage.person("ann")?;
    let spec = stage.spec(&person, &wanted);
    let account = target.create(&spec).await.told("create")?;
    let once = present(&target, &account).await?;
    equal(&target.create(&spec).await.told("the second create")?, &account, "account of the second create")?;
    equal(&present(&target, &account).await?, &once, "after the second create")?;

    target.grant(&account, &wanted).await.told("grant")?;
    let once = present(&target, &account).await?;
    target.grant(&account, &wanted).await.told("the second grant")?;
    equal(&present(&target, &account).await?, &once, "after the second grant")?;

    for n in ["first", "second"] {
        target.rotate(&account, &person.credential()).await.told(&format!("the {n} rotate"))?;
    }
    for n in ["first", "second"] {
        target.enable(&account).await.told(&format!("the {n} enable"))?;
    }
    stage.can_use(&person, &stage.plain(0)?).await?;

    let mark = stage.mark(&person.account, &wanted, 2);
    let expires = stage.expires(stage.until());
    target.renew(&account, &mark, expires).await.told("renew")?;
    // A session of the login before may still be on its way out: it does not count here.
    let once = Present { sessions: 0, ..present(&target, &account).await? };
    target.renew(&account, &mark, expires).await.told("the second renew")?;
    let twice = Present { sessions: 0, ..present(&target, &account).await? };
    equal(&twice, &once, "after the second renew")?;
    stage.can_use(&person, &stage.plain(0)?).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_retried_opening_meets_its_own_account(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?]);
    let person = stage.person("ann")?;
    let first = target.open(&stage.order(&person, &wanted)).await.told("open")?;
    let second = stage.target().await?.open(&stage.order(&person, &wanted)).await.told("the second open")?;
    equal(&second, &first, "account of the second opening")?;
    holds(&target, &first, Login::Open, &[stage.plain(0)?], "after the second opening").await?;
    stage.can_use(&person, &stage.plain(0)?).await?;
    stage.put_away(&target, &first).await
}

pub(super) async fn creating_an_open_account_leaves_it_open(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let again = target.create(&stage.spec(&person, &set(std::slice::from_ref(&a)))).await.told("create")?;
    equal(&again, &account, "account of a create on an open account")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after create on an open account")
        .await?;
    stage.can_use(&person, &a).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn grant_converges_to_the_full_set(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b, c) = (stage.plain(0)?, stage.plain(1)?, stage.plain(2)?);
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let steps: [&[Entitlement]; 5] = [
        &[b.clone(), c.clone()],
        &[a.clone(), b.clone(), c.clone()],
        std::slice::from_ref(&c),
        &[],
        &[a.clone(), c.clone()],
    ];
    for wanted in steps {
        target.grant(&account, &set(wanted)).await.told("grant")?;
        holds(&target, &account, Login::Open, wanted, "after grant").await?;
        for each in [&a, &b, &c] {
            if wanted.contains(each) {
                stage.can_use(&person, each).await?;
            } else {
                stage.is_denied(&person, each).await?;
            }
        }
    }
    stage.put_away(&target, &account).await
}

pub(super) async fn rotating_replaces_the_credential(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let renewed = stage.renewed(&person)?;
    target.rotate(&account, &renewed.credential()).await.told("rotate")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after rotate").await?;
    stage.can_use(&renewed, &a).await?;
    stage.locked_out(&person, &a.resource, "with the old credential").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn rotating_never_opens_a_shut_account(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.close(&target, &account).await?;
    let renewed = stage.renewed(&person)?;
    target.rotate(&account, &renewed.credential()).await.told("rotate on a shut account")?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(observed.is_closed(), format!("rotate opened a shut account: {observed:?}"))?;
    stage.locked_out(&renewed, &a.resource, "with a credential set on a shut account").await?;
    stage.locked_out(&person, &a.resource, "with the old credential").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn renewing_never_opens_a_shut_account(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    stage.close(&target, &account).await?;
    let mark = stage.mark(&person.account, &set(&[]), 3);
    target.renew(&account, &mark, None).await.told("renew on a shut account")?;
    let later = stage.expires(stage.until());
    target.renew(&account, &mark, later).await.told("renew on a shut account")?;
    let observed = target.observe(&account).await.told("observe")?;
    ensure(observed.is_closed(), format!("renew opened a shut account: {observed:?}"))?;
    stage.locked_out(&person, &a.resource, "after renew on a shut account").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn a_missing_account_cannot_be_opened(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?]);
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    stage.put_away(&target, &account).await?;
    let mark = stage.mark(&person.account, &wanted, 2);
    for (known, missing) in [("by its immutable id", account), ("by its name", person.by_name())] {
        let answers = [
            ("grant", target.grant(&missing, &wanted).await),
            ("rotate", target.rotate(&missing, &person.credential()).await),
            ("enable", target.enable(&missing).await),
            ("renew", target.renew(&missing, &mark, stage.expires(stage.until())).await),
        ];
        for (verb, answer) in answers {
            let Err(failure) = answer else {
                return Err(Broken(format!("{verb} on a missing account, known {known}, succeeded")));
            };
            equal(
                &failure.code,
                &Code::ACCOUNT_MISSING,
                &format!("code of {verb} on an account missing {known}"),
            )?;
            ensure(
                failure.certainty != Certainty::Unknown,
                format!("{verb} on a missing account is unsure"),
            )?;
        }
        ensure(
            target.observe(&missing).await.told("observe")?.is_absent(),
            "a verb made the missing account",
        )?;
    }
    Ok(())
}

pub(super) async fn an_unknown_permission_is_refused(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (a, b) = (stage.plain(0)?, stage.plain(1)?);
    let (_, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let mut permission = b.clone();
    permission.permission = Permission("NO_SUCH_PERMISSION".into());
    let mut kind = b.clone();
    kind.resource.kind = ResourceKind("no-such-kind".into());
    let mut path = b;
    path.resource.path.push("and-one-more".into());
    let unknown_permission: &[Code] = &[Code::PERMISSION_UNKNOWN];
    let table = [
        ("permission", permission, unknown_permission),
        ("kind", kind, unknown_permission),
        ("path", path, &[Code::PERMISSION_UNKNOWN, Code::RESOURCE_MISSING]),
    ];
    for (name, unknown, codes) in table {
        let answer = target.grant(&account, &set(&[a.clone(), unknown.clone()])).await;
        refused(answer, codes, &format!("granting an unknown {name}"))?;
        holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after a refused grant").await?;
        let other = stage.person(name)?;
        let answer = target.open(&stage.order(&other, &set(&[unknown]))).await;
        refused(answer, codes, &format!("opening with an unknown {name}"))?;
        stage.locked_out(&other, &a.resource, "after a refused opening").await?;
        stage.put_away(&target, &other.by_name()).await?;
    }
    stage.put_away(&target, &account).await
}

pub(super) async fn a_vanished_resource_is_refused(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let Some(gone) = stage.world.make_resource("contract_vanishing").await? else {
        return Err(Broken("the world cannot make a resource with a plain name".into()));
    };
    stage.world.drop_resource(&gone.resource).await?;
    let (person, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let answer = target.grant(&account, &set(&[a.clone(), gone.clone()])).await;
    refused(answer, &[Code::RESOURCE_MISSING], "granting a vanished resource")?;
    holds(&target, &account, Login::Open, std::slice::from_ref(&a), "after a refused grant").await?;
    stage.can_use(&person, &a).await?;
    let other = stage.person("bob")?;
    let answer = target.open(&stage.order(&other, &set(&[gone]))).await;
    refused(answer, &[Code::RESOURCE_MISSING], "opening with a vanished resource")?;
    stage.locked_out(&other, &a.resource, "after a refused opening").await?;
    stage.put_away(&target, &other.by_name()).await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn the_mark_says_what_was_ordered(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = set(&[stage.plain(0)?, stage.plain(1)?]);
    let person = stage.person("ann")?;
    let spec = stage.spec(&person, &wanted);
    let account = target.create(&spec).await.told("create")?;
    let found = present(&target, &account).await?;
    let MarkState::Valid(mark) = &found.mark else {
        return Err(Broken(format!("the mark of a new account is {:?}", found.mark)));
    };
    equal(&mark.target, &target.identify().await.told("identify")?, "target in the mark")?;
    equal(&mark.immutable, &found.immutable, "immutable id in the mark")?;
    let mut draft = mark.draft.clone();
    if draft.deadlines.is_empty() {
        // Short of room a mark has only the earliest deadline; here all are the same.
        draft.deadlines.clone_from(&spec.mark.deadlines);
    }
    equal(&draft, &spec.mark, "mark of a new account")?;
    target.delete(&account, HeirPolicy::KeepShut).await.told("delete")
}
