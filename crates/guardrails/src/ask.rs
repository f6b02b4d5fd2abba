//! Asking: from the rules' words to Cedar's, and back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Context, Decision, Entities, Entity, EntityUid, PolicyId, Request, Response,
    RestrictedExpression as Value,
};
use jiff::civil::Weekday;
use model::{GranteeId, Integration, Span, Timestamp};
use rules::guard::covered;
use rules::{Forbidden, Stretch, Wish};

use crate::names::{self, Type};
use crate::{MOST_ANSWERS, Policies, moments};

pub(crate) const ROTATE: &str = "rotate";
pub(crate) const DELETE: &str = "delete";

/// What cannot happen with our own names, and is a no if it does.
fn inapplicable(fault: impl ToString) -> Forbidden {
    Forbidden::Inapplicable { policies: vec![], fault: fault.to_string() }
}

fn uid(kind: Type, id: &str) -> Result<EntityUid, Forbidden> {
    names::uid(kind, id).ok_or_else(|| inapplicable("a name of ours is not one of Cedar's"))
}

pub(crate) fn connect(policies: &Policies, integration: &Integration) -> Result<(), Forbidden> {
    let principal = uid(Type::Connector, policies.connector.as_str())?;
    about_integration(policies, principal, "connect", integration)
}

pub(crate) fn about_account(
    policies: &Policies,
    action: &str,
    integration: &Integration,
    grantee: &GranteeId,
) -> Result<(), Forbidden> {
    about_integration(policies, uid(Type::Grantee, grantee.as_str())?, action, integration)
}

fn about_integration(
    policies: &Policies,
    principal: EntityUid,
    action: &str,
    integration: &Integration,
) -> Result<(), Forbidden> {
    let resource = uid(Type::Integration, integration.id.as_str())?;
    let entities = entities([of_integration(integration)?])?;
    ask(policies, principal, action, resource, Context::empty(), &entities)
}

/// Until when all entitlements of an access are allowed.
pub(crate) fn open(policies: &Policies, wish: &Wish<'_>) -> Result<Timestamp, Forbidden> {
    let each = if policies.by_moment { moments::count(wish.from, wish.until) } else { 1 };
    let asked = (wish.entitlements.len() as u64).saturating_mul(each);
    if asked > MOST_ANSWERS {
        return Err(Forbidden::TooMuch { asked, most: MOST_ANSWERS });
    }
    let integration = wish.integration.id.as_str();
    let (mut things, mut places) = (vec![of_integration(wish.integration)?], BTreeSet::new());
    let mut wanted = vec![];
    for entitlement in wish.entitlements.iter() {
        let path = &entitlement.resource.path;
        places.extend(names::places(integration, path));
        let id = uid(Type::Resource, &names::resource(integration, &entitlement.resource.kind.0, path))?;
        wanted.push((id, entitlement.permission.0.clone()));
    }
    let resources: BTreeSet<_> = wish.entitlements.iter().map(|one| &one.resource).collect();
    for place in &places {
        things.push(of_place(integration, place)?);
    }
    for resource in resources {
        things.push(of_resource(integration, &resource.kind.0, &resource.path)?);
    }
    let entities = entities(things)?;
    let grantee = uid(Type::Grantee, wish.grantee.as_str())?;
    let fixed = Context::from_pairs(fixed_context(policies, wish)).map_err(inapplicable)?;
    let mut until = wish.until;
    // The same moments come again for every entitlement.
    let moments = RefCell::new(BTreeMap::<Timestamp, Context>::new());
    // Whatever is asked last is asked of the shortest time.
    for (resource, permission) in wanted {
        let permission = [("permission".to_owned(), Value::new_string(permission))];
        let permission = Context::from_pairs(permission).map_err(inapplicable)?;
        let allowed = |at: Timestamp| {
            let known = moments.borrow().get(&at).cloned();
            let context = match known {
                Some(known) => known,
                None => {
                    let made = at_moment(policies, wish, &fixed, at)?;
                    moments.borrow_mut().insert(at, made.clone());
                    made
                }
            };
            let context = context.merge(permission.clone()).map_err(inapplicable)?;
            ask(policies, grantee.clone(), "open", resource.clone(), context, &entities)
        };
        if policies.by_moment {
            until = moments::until(wish.from, until, allowed)?;
        } else {
            allowed(wish.from)?;
        }
    }
    Ok(until)
}

/// What is the same for every entitlement at every moment: made once, since it may be large.
fn fixed_context(policies: &Policies, wish: &Wish<'_>) -> Vec<(String, Value)> {
    let union = wish.union.iter().filter(|_| policies.by_union).map(|one| {
        let path = names::path(&one.resource.path);
        format!("{} on {}:{path}", one.permission.0, one.resource.kind.0)
    });
    let permissions: BTreeSet<_> = wish.union.iter().map(|one| one.permission.0.clone()).collect();
    let mut fixed = vec![
        ("union".to_owned(), Value::new_set(union.map(Value::new_string))),
        ("union_permissions".to_owned(), Value::new_set(permissions.into_iter().map(Value::new_string))),
        ("duration".to_owned(), duration(wish.until.since(wish.begun.min(wish.from)))),
    ];
    if let Some(approval) = wish.approval {
        fixed.push(("approval".into(), Value::new_string(approval.into())));
    }
    fixed
}

/// What is the same for every entitlement at a moment.
fn at_moment(
    policies: &Policies,
    wish: &Wish<'_>,
    fixed: &Context,
    at: Timestamp,
) -> Result<Context, Forbidden> {
    let local = jiff::Timestamp::from_millisecond(at.as_millis()).map_err(inapplicable)?;
    let local = local.to_zoned(policies.zone.clone());
    let midnight = local.time().duration_since(jiff::civil::Time::midnight());
    let time = Span::from_millis(i64::try_from(midnight.as_millis()).unwrap_or_default());
    let (used_day, used_week) = if policies.by_use { used(wish, at) } else { (Span::ZERO, Span::ZERO) };
    let all = Context::from_pairs([
        ("at".into(), Value::new_datetime(format!("{:.3}", local.timestamp()))),
        ("time".into(), duration(time)),
        ("weekday".into(), Value::new_string(weekday(local.weekday()).into())),
        ("elapsed".into(), duration(at.since(wish.begun))),
        ("used_day".into(), duration(used_day)),
        ("used_week".into(), duration(used_week)),
    ]);
    fixed.clone().merge(all.map_err(inapplicable)?).map_err(inapplicable)
}

/// How long the grantee had anything in the day and in the week before a moment of this access.
fn used(wish: &Wish<'_>, at: Timestamp) -> (Span, Span) {
    let mut stretches = wish.used.to_vec();
    stretches.push(Stretch { from: wish.begun, until: at });
    let day = covered(&stretches, at.minus(Span::from_days(1)), at);
    (day, covered(&stretches, at.minus(Span::from_days(7)), at))
}

fn duration(span: Span) -> Value {
    Value::new_duration(format!("{}ms", span.as_millis()))
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

fn of_integration(integration: &Integration) -> Result<Entity, Forbidden> {
    let attributes = [
        ("kind".to_owned(), Value::new_string(integration.kind.0.clone())),
        ("secret".to_owned(), Value::new_string(integration.secret.0.clone())),
    ];
    let tags =
        integration.settings.iter().map(|(key, value)| (key.clone(), Value::new_string(value.clone())));
    Entity::new_with_tags(uid(Type::Integration, integration.id.as_str())?, attributes, [], tags)
        .map_err(inapplicable)
}

/// A place, in the place above it and in its integration.
fn of_place(integration: &str, place: &str) -> Result<Entity, Forbidden> {
    let mut above = vec![uid(Type::Integration, integration)?];
    // The first part is the integration's own name.
    if let Some((parent, _)) = place.rsplit_once('/').filter(|(parent, _)| parent.contains('/')) {
        above.push(uid(Type::Place, parent)?);
    }
    Entity::new_with_tags(uid(Type::Place, place)?, [], above, []).map_err(inapplicable)
}

fn of_resource(integration: &str, kind: &str, path: &[String]) -> Result<Entity, Forbidden> {
    let mut above = vec![uid(Type::Integration, integration)?];
    if let Some(place) = names::places(integration, path).last() {
        above.push(uid(Type::Place, place)?);
    }
    let attributes = [
        ("integration".to_owned(), Value::new_entity_uid(uid(Type::Integration, integration)?)),
        ("kind".to_owned(), Value::new_string(kind.into())),
        ("path".to_owned(), Value::new_string(names::path(path))),
        ("name".to_owned(), Value::new_string(path.last().cloned().unwrap_or_default())),
    ];
    Entity::new_with_tags(
        uid(Type::Resource, &names::resource(integration, kind, path))?,
        attributes,
        above,
        [],
    )
    .map_err(inapplicable)
}

fn entities(things: impl IntoIterator<Item = Entity>) -> Result<Entities, Forbidden> {
    Entities::from_entities(things, None).map_err(inapplicable)
}

fn ask(
    policies: &Policies,
    principal: EntityUid,
    action: &str,
    resource: EntityUid,
    context: Context,
    entities: &Entities,
) -> Result<(), Forbidden> {
    let action = uid(Type::Action, action)?;
    let request = Request::new(principal, action, resource, context, None).map_err(inapplicable)?;
    judge(policies, &policies.authorizer.is_authorized(&request, &policies.set, entities))
}

fn judge(policies: &Policies, said: &Response) -> Result<(), Forbidden> {
    // Cedar leaves out a policy that cannot be applied, also one that forbids.
    let faults: Vec<_> = said.diagnostics().errors().collect();
    if let Some(first) = faults.first() {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(fault) = first;
        let named = faults.iter().map(|cedar_policy::AuthorizationError::PolicyEvaluationError(fault)| {
            fault.policy_id().to_string()
        });
        return Err(Forbidden::Inapplicable { policies: named.collect(), fault: fault.inner().to_string() });
    }
    if said.decision() == Decision::Allow {
        return Ok(());
    }
    let mut by: Vec<PolicyId> = said.diagnostics().reason().cloned().collect();
    by.sort();
    if by.is_empty() {
        return Err(Forbidden::Unpermitted);
    }
    let reason = by.iter().find_map(|id| policies.set.policy(id)?.annotation("reason"));
    Err(Forbidden::By {
        policies: by.iter().map(ToString::to_string).collect(),
        reason: reason.map(ToOwned::to_owned),
    })
}

#[cfg(test)]
mod tests;
