//! `identify`, `check`, `discover` and connection lines: they tell the truth and leave nothing behind.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::{Certainty, Code, Failure, Retry};

use super::stage::{Broken, Stage, Told, ensure, equal, set};
use crate::{Grade, Resource, ResourceSink, Target};

/// Says what differs between two inventories.
pub(super) fn unchanged(before: &BTreeSet<String>, after: &BTreeSet<String>, by: &str) -> Result<(), Broken> {
    let list =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).take(8).cloned().collect::<Vec<_>>();
    let (gone, new) = (list(before, after), list(after, before));
    ensure(gone.is_empty() && new.is_empty(), format!("{by} changed the target: gone {gone:?}, new {new:?}"))
}

pub(super) async fn it_leaves_everything_as_it_was(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let before = stage.world.inventory().await?;
    target.check().await.told("check")?;
    target.check().await.told("the second check")?;
    unchanged(&before, &stage.world.inventory().await?, "check")
}

pub(super) async fn it_finds_nothing_bad_and_names_the_product(stage: &Stage<'_>) -> Result<(), Broken> {
    let report = stage.target().await?.check().await.told("check")?;
    ensure(!report.probes.is_empty(), "check looked at nothing")?;
    ensure(!report.product.is_empty() && !report.version.is_empty(), "check names no product or version")?;
    for probe in &report.probes {
        ensure(probe.grade != Grade::Bad, format!("a probe is bad on a good target: {probe:?}"))?;
        ensure(
            !probe.name.is_empty() && !probe.detail.is_empty(),
            format!("a probe says nothing: {probe:?}"),
        )?;
    }
    Ok(())
}

pub(super) async fn a_wrong_secret_is_refused_once_and_for_this_version(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let wrong = stage.person("nobody")?.clear;
    let answer = match stage.world.connect_with_wrong_secret(stage.run.context.clone(), &wrong).await {
        Ok(target) => target.identify().await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    let Err(failure) = answer else { return Err(Broken("a wrong admin secret opens the target".into())) };
    stage.run.note(&failure);
    equal(&failure.code, &Code::LOGIN_REFUSED, "code of a refused admin login")?;
    equal(&failure.certainty, &Certainty::Refused, "certainty of a refused admin login")?;
    equal(&failure.retry, &Retry::AfterNewSecret, "retry of a refused admin login")
}

pub(super) async fn the_identity_is_the_targets_own(stage: &Stage<'_>) -> Result<(), Broken> {
    let first = stage.target().await?;
    let identity = first.identify().await.told("identify")?;
    ensure(!identity.0.is_empty(), "the identity is empty")?;
    equal(&first.identify().await.told("identify")?, &identity, "identity asked twice")?;
    equal(
        &stage.target().await?.identify().await.told("identify")?,
        &identity,
        "identity on another connection",
    )
}

pub(super) async fn the_identity_is_another_elsewhere(stage: &Stage<'_>) -> Result<(), Broken> {
    let Some(elsewhere) = stage.world.elsewhere() else { return Err(Broken("there is no elsewhere".into())) };
    let here = stage.target().await?.identify().await.told("identify")?;
    let other = elsewhere.connect(stage.run.context.clone()).await.told("connecting elsewhere")?;
    ensure(other.identify().await.told("identify elsewhere")? != here, "two targets have one identity")
}

pub(super) async fn discovery_tells_the_plain_resources_and_leaves_nothing(
    stage: &Stage<'_>,
) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let before = stage.world.inventory().await?;
    let mut found: Vec<Resource> = vec![];
    target.discover(&mut found).await.told("discover")?;
    unchanged(&before, &stage.world.inventory().await?, "discover")?;

    let manifest = stage.world.driver().manifest();
    for resource in &found {
        let id = &resource.id;
        let Some(known) = manifest.resource(&id.kind.0) else {
            return Err(Broken(format!("{id} is of a kind that the manifest does not have")));
        };
        equal(&id.path.len(), &known.path.len(), &format!("parts of the path of {id}"))?;
        ensure(!resource.permissions.is_empty(), format!("nothing can be had on {id}"))?;
        for permission in &resource.permissions {
            let name = &permission.0;
            ensure(manifest.permission(known.kind, name).is_some(), format!("{name} of {id} is not known"))?;
        }
        ensure(!id.path.contains(&person.name().0), format!("{id} is one of our own accounts"))?;
    }
    let distinct: BTreeSet<_> = found.iter().map(|resource| &resource.id).collect();
    equal(&distinct.len(), &found.len(), "resources told once")?;
    for plain in stage.world.plain() {
        let offered = found.iter().any(|resource| {
            resource.id == plain.resource && resource.permissions.contains(&plain.permission)
        });
        ensure(offered, format!("{plain} was not discovered"))?;
    }
    stage.put_away(&target, &account).await
}

/// Takes one piece and then has had enough.
struct Full(u32);

#[async_trait]
impl ResourceSink for Full {
    async fn take(&mut self, _: Vec<Resource>) -> Result<(), Failure> {
        self.0 += 1;
        Err(Failure::refused(Code::BUDGET_EXCEEDED, "enough"))
    }
}

pub(super) async fn discovery_stops_when_its_reader_does(stage: &Stage<'_>) -> Result<(), Broken> {
    let mut full = Full(0);
    let answer = stage.target().await?.discover(&mut full).await;
    equal(
        &answer.map_err(|failure| failure.code),
        &Err(Code::BUDGET_EXCEEDED),
        "answer of a stopped discovery",
    )?;
    equal(&full.0, &1, "pieces told to a reader that has had enough")
}

pub(super) async fn connection_lines_name_the_account(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let wanted = [stage.plain(0)?];
    let (person, account) = stage.opened(&target, "ann", &wanted).await?;
    let lines = target.connection_lines(&account, &set(&wanted));
    ensure(!lines.is_empty(), "there is no connection line")?;
    ensure(
        lines.iter().any(|line| line.text.contains(&person.name().0)),
        "no connection line names the account",
    )?;
    for line in &lines {
        ensure(!line.label.is_empty() && !line.text.is_empty(), "a connection line is empty")?;
        ensure(!line.text.contains(person.clear.expose()), "a connection line holds the credential")?;
        for secret in stage.world.admin_secrets() {
            ensure(!line.text.contains(secret.expose()), "a connection line holds the admin secret")?;
        }
    }
    stage.put_away(&target, &account).await
}
