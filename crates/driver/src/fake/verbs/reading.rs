//! Reading verbs: check, discover, observe, survey.

use model::observed::Present;
use model::{
    AccountName, AccountRef, Failure, ImmutableId, Login, MarkState, Observed, Permission, Residual,
    ResidualKind, ResourceId, Sighting,
};

use super::{Found, find, foreign, mark_of, observed_roles};
use crate::fake::desk::Desk;
use crate::fake::manifest::{READ_ONLY, READ_WRITE, THING};
use crate::fake::sabotage::Sabotage;
use crate::fake::state::{AccountRow, Number, State};
use crate::{CheckReport, Grade, Probe, Resource};

pub(in crate::fake) fn check(desk: &mut Desk<'_>) -> Result<CheckReport, Failure> {
    if desk.has(Sabotage::CheckLeavesItsProbe) {
        let row = AccountRow::shut("tidegate_probe");
        desk.ask("make a probe", |state| match state.find("tidegate_probe") {
            Some(number) => Ok(number),
            None => state.make_account(row),
        })?;
    }
    let things = desk.ask("count things", |state: &mut State| Ok(state.things.len()))?;
    Ok(CheckReport {
        probes: vec![Probe {
            name: "things".into(),
            grade: Grade::Good,
            detail: format!("{things} things are on the shelves"),
        }],
        product: "Made-up system".into(),
        version: "1.0".into(),
    })
}

pub(in crate::fake) fn discover(desk: &mut Desk<'_>) -> Result<Vec<Resource>, Failure> {
    let permissions = || [READ_ONLY, READ_WRITE].map(|name| Permission(name.into())).to_vec();
    let offers_accounts = desk.has(Sabotage::DiscoversOwnAccounts);
    desk.ask("list things", |state| {
        let accounts = state.accounts.values().map(|row| vec!["accounts".to_owned(), row.name.clone()]);
        let mut paths: Vec<_> = state.things.iter().cloned().collect();
        paths.extend(accounts.filter(|_| offers_accounts));
        let resource = |path| Resource {
            id: ResourceId::new::<String>(THING, path),
            permissions: permissions(),
            tags: [("owner".to_owned(), "admin".to_owned())].into(),
        };
        Ok(paths.into_iter().map(resource).collect())
    })
}

/// Reads one account that is there.
fn present(desk: &Desk<'_>, number: Number) -> Option<Present> {
    let state = &desk.core.state;
    let row = state.accounts.get(&number)?;
    let ours = observed_roles(desk, number);
    let strange = row.roles.iter().filter(|role| !ours.iter().any(|(name, _)| name == *role));
    let mut excess: Vec<_> = strange.map(|role| format!("member of {role}")).collect();
    excess.extend(row.by_hand.iter().cloned());
    let grown = row.roles.iter().filter_map(|role| state.roles.get(role)).flat_map(|role| role.more.iter());
    excess.extend(grown.map(|right| format!("{right}, through a shared role")));
    if desk.has(Sabotage::MissesRightsByHand) {
        excess.clear();
    }
    let sessions = state.sessions.values().filter(|session| session.account == number).count();
    let sessions = if desk.has(Sabotage::MissesSessions) { 0 } else { sessions };
    let mut residual = vec![];
    let waiting = state.prepared.values().filter(|owner| **owner == number).count();
    if waiting > 0 {
        residual.push(Residual {
            kind: ResidualKind::PreparedTransaction,
            detail: format!("{waiting} prepared transactions"),
            ends_at: None,
        });
    }
    let owned = state.owned_by(number).count();
    if owned > 0 {
        residual.push(Residual {
            kind: ResidualKind::OwnedObjects,
            detail: format!("{owned} objects"),
            ends_at: None,
        });
    }
    Some(Present {
        name: AccountName(row.name.clone()),
        immutable: ImmutableId(number.0.to_string()),
        login: if row.can_log_in { Login::Open } else { Login::Shut },
        entitlements: ours.into_iter().map(|(_, gives)| gives).collect(),
        excess,
        sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        expires: row.expires,
        mark: mark_of(desk, number),
        residual,
    })
}

pub(in crate::fake) fn observe(desk: &mut Desk<'_>, account: &AccountRef) -> Result<Observed, Failure> {
    let found = find(desk, account)?;
    let target_time = Some(desk.ask("read the time", |state| Ok(state.now))?);
    let account = match found {
        Found::Ours(number) => present(desk, number).map(Box::new),
        Found::Foreign if claims(desk, account) => return Err(foreign()),
        Found::Foreign | Found::Nobody => None,
    };
    Ok(Observed { target_time, account })
}

/// Whether what has the account's name says that it is it, and cannot be believed.
fn claims(desk: &Desk<'_>, account: &AccountRef) -> bool {
    if account.immutable.is_some() || desk.has(Sabotage::CallsClaimsAbsent) {
        return false;
    }
    let state = &desk.core.state;
    let row = state.find(&account.name.0).and_then(|number| state.accounts.get(&number));
    let mark = row.and_then(|row| row.mark.as_deref());
    mark.is_some_and(|text| desk.context.marks.claims(text, account.id))
}

pub(in crate::fake) fn survey(desk: &mut Desk<'_>) -> Result<Vec<Sighting>, Failure> {
    let everybody = desk.has(Sabotage::SurveysEverybody);
    let numbers = desk.ask("list marked accounts", |state| {
        let marked = |row: &AccountRow| row.mark.as_deref().is_some_and(seal::mark::looks_like_ours);
        let ours = state.accounts.iter().filter(|(_, row)| everybody || marked(row));
        Ok(ours.map(|(number, _)| *number).collect::<Vec<_>>())
    })?;
    let found = numbers.into_iter().filter_map(|number| present(desk, number));
    let misses_shut = desk.has(Sabotage::MissesShutAccounts);
    let misses_forged = desk.has(Sabotage::MissesForgedMarks);
    Ok(found
        .filter(|found| !(misses_shut && found.login == Login::Shut))
        .filter(|found| !(misses_forged && found.mark == MarkState::Forged))
        .map(|found| Sighting { found })
        .collect())
}

pub(in crate::fake) fn wider_roles(desk: &mut Desk<'_>) -> Result<Vec<String>, Failure> {
    if desk.has(Sabotage::MissesWiderRoles) {
        return Ok(vec![]);
    }
    let maker = desk.maker();
    desk.ask("list widened roles", |state| {
        let wider = state.roles.iter().filter(|(_, role)| role.maker == maker && !role.more.is_empty());
        Ok(wider.map(|(name, _)| name.clone()).collect())
    })
}
