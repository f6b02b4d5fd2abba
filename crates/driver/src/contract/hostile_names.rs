//! Names on a target are attacker-controlled text: each is taken as it is, or refused; never read as
//! language, folded, matched as a pattern or cut.

use model::{AccountName, Certainty, Code, Entitlement, Login};

use super::stage::{Broken, Stage, Told, ensure, equal, holds, present, refused, set};
use crate::{HeirPolicy, Resource, Target};

/// Names that break what does not quote.
const HOSTILE: [&str; 26] = [
    "a\"b",
    "a'b",
    "a`b",
    "a]b",
    "a[b",
    "a\\b",
    "a_b",
    "a%b",
    "a;b--",
    "a/*b*/",
    "$$",
    "$1",
    "{}",
    "%s%n",
    "a\nb",
    "a\tb",
    "a b ",
    " ",
    "a/b",
    "..",
    "Ab",
    "select",
    "\"; DROP TABLE contract; --",
    "'; DROP TABLE contract; --",
    "größe\u{202e}\u{1f980}",
    "a\0b",
];

/// Pairs that a pattern, a fold or a trim would take for one another: the first is granted.
const LOOK_ALIKE: [(&str, &str); 7] = [
    ("look_alike", "lookXalike"),
    ("look%", "look_and_feel"),
    ("Look", "look"),
    ("look ", "look"),
    ("look.x", "look"),
    ("caf\u{e9}", "cafe\u{301}"),
    ("look*", "looks"),
];

/// Lengths at which some target cuts a name.
const EDGES: [usize; 4] = [30, 63, 127, 255];

pub(super) async fn resources_with_hostile_names_are_granted_and_stripped(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[]).await?;
    let mut made = 0;
    for name in HOSTILE {
        let Some(entitlement) = stage.world.make_resource(name).await? else { continue };
        made += 1;
        play_one(stage, &target, &person, &account, &entitlement)
            .await
            .map_err(|Broken(found)| Broken(format!("the name {name:?}: {found}")))?;
        stage.world.drop_resource(&entitlement.resource).await?;
    }
    ensure(made > 0, "the world can make no resource with a hostile name")?;
    stage.put_away(&target, &account).await
}

async fn play_one(
    stage: &Stage<'_>,
    target: &dyn Target,
    person: &super::stage::Person,
    account: &model::AccountRef,
    entitlement: &Entitlement,
) -> Result<(), Broken> {
    let wanted = std::slice::from_ref(entitlement);
    let mut found: Vec<Resource> = vec![];
    target.discover(&mut found).await.told("discover")?;
    ensure(found.iter().any(|resource| resource.id == entitlement.resource), "it is not discovered")?;
    target.grant(account, &set(wanted)).await.told("grant")?;
    holds(target, account, Login::Open, wanted, "after grant").await?;
    stage.can_use(person, entitlement).await?;
    target.grant(account, &set(&[])).await.told("grant of nothing")?;
    holds(target, account, Login::Open, &[], "after it was taken").await?;
    stage.is_denied(person, entitlement).await
}

pub(super) async fn names_that_cannot_be_are_refused(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let a = stage.plain(0)?;
    let (_, account) = stage.opened(&target, "ann", std::slice::from_ref(&a)).await?;
    let long = "x".repeat(5_000);
    let names = HOSTILE.into_iter().chain([long.as_str(), "", "no_such_name", "\0"]);
    for name in names {
        for part in 0..a.resource.path.len() {
            let mut wrong = a.clone();
            if let Some(part) = wrong.resource.path.get_mut(part) {
                name.clone_into(part);
            }
            let answer = target.grant(&account, &set(&[a.clone(), wrong])).await;
            let codes = [Code::RESOURCE_MISSING, Code::NAME_REFUSED];
            let shown: String = name.chars().take(40).collect();
            refused(answer, &codes, &format!("granting on {shown:?} as part {part} of the path"))?;
        }
    }
    holds(&target, &account, Login::Open, &[a], "after refused grants").await?;
    stage.put_away(&target, &account).await
}

pub(super) async fn look_alike_names_are_not_confused(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[]).await?;
    for (asked, other) in LOOK_ALIKE {
        let made = (stage.world.make_resource(asked).await?, stage.world.make_resource(other).await?);
        if let (Some(asked), Some(other)) = &made {
            let wanted = std::slice::from_ref(asked);
            target.grant(&account, &set(wanted)).await.told("grant")?;
            holds(&target, &account, Login::Open, wanted, "after grant").await?;
            stage.can_use(&person, asked).await?;
            stage.is_denied(&person, other).await?;
            target.grant(&account, &set(&[])).await.told("grant of nothing")?;
        }
        for entitlement in [made.0, made.1].into_iter().flatten() {
            stage.world.drop_resource(&entitlement.resource).await?;
        }
    }
    stage.put_away(&target, &account).await
}

pub(super) async fn a_name_is_never_cut_to_fit(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[]).await?;
    for length in EDGES {
        let name = "n".repeat(length);
        let Some(edge) = stage.world.make_resource(&name).await? else { continue };
        let mut longer = edge.clone();
        if let Some(last) = longer.resource.path.last_mut() {
            last.push('n');
        }
        let answer = target.grant(&account, &set(&[longer])).await;
        let codes = [Code::RESOURCE_MISSING, Code::NAME_REFUSED];
        refused(answer, &codes, &format!("granting on a name of {} characters", length + 1))?;
        holds(&target, &account, Login::Open, &[], "after a refused grant").await?;
        stage.is_denied(&person, &edge).await?;
        stage.world.drop_resource(&edge.resource).await?;
    }
    stage.put_away(&target, &account).await
}

pub(super) async fn hostile_account_names_are_quoted_or_refused(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let before = stage.world.inventory().await?;
    let long = "y".repeat(5_000);
    for (n, name) in HOSTILE.into_iter().chain([long.as_str(), ""]).enumerate() {
        let mut person = stage.person(&format!("nobody{n}"))?;
        person.account.name = AccountName(name.to_owned());
        let shown: String = name.chars().take(40).collect();
        match target.create(&stage.spec(&person, &set(&[]))).await {
            Ok(account) => {
                let found = present(&target, &account).await?;
                equal(&found.name.0, &person.account.name.0, "name of a created account")?;
                equal(&found.login, &Login::Shut, &format!("login of the account {shown:?}"))?;
                stage.close(&target, &account).await?;
                target.delete(&account, HeirPolicy::KeepShut).await.told("delete")?;
            }
            Err(failure) => {
                equal(&failure.certainty, &Certainty::Refused, &format!("certainty of refusing {shown:?}"))?;
                equal(&failure.code, &Code::NAME_REFUSED, &format!("code of refusing {shown:?}"))?;
            }
        }
        super::check::unchanged(&before, &stage.world.inventory().await?, &format!("the name {shown:?}"))?;
    }
    Ok(())
}
