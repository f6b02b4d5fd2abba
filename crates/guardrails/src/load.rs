//! From a text to policies that make sense. What cannot be applied for certain is refused here, not when it is needed.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{Authorizer, Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use jiff::tz::TimeZone;
use miette::Diagnostic;
use model::ConnectorId;
use serde_json::Value;

use crate::{Policies, WORDS};

/// A file of guardrails has at most this many bytes.
pub const MOST_BYTES: usize = 1024 * 1024;

/// Words of a moment, in the context of `open`.
const OF_MOMENTS: [&str; 6] = ["at", "time", "weekday", "elapsed", "used_day", "used_week"];
/// Words of what was before.
const OF_USE: [&str; 2] = ["used_day", "used_week"];

/// Why a text does not make guardrails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFault {
    #[error("the guardrails have {bytes} bytes and may have {MOST_BYTES}: make them shorter")]
    TooLong { bytes: usize },
    #[error("the guardrails are not policies in Cedar: {}", .faults.join("; "))]
    Unreadable { faults: Vec<String> },
    #[error(
        "the guardrails have no policy: without one that permits, everything is forbidden; begin with `permit(principal, action, resource);`"
    )]
    Empty,
    #[error("two guardrails are called `{id}`: give each its own @id")]
    TwiceNamed { id: String },
    #[error("guardrail `{id}` is a template: write who and what it is about into it")]
    Template { id: String },
    #[error("the guardrails speak of what is not there: {}", .faults.join("; "))]
    Senseless { faults: Vec<String> },
    #[error(
        "`{zone}` is not a time zone that this machine knows ({fault}): write it as Europe/Berlin, and see that its time zone data is installed"
    )]
    Zone { zone: String, fault: String },
    #[error(
        "the words of the guardrails cannot be read ({0}): this is a fault of the program, please report it"
    )]
    Words(String),
}

/// One policy, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    pub id: String,
    pub permits: bool,
    pub reason: Option<String>,
    /// It speaks of the moment, so accesses may be given less time than was ordered.
    pub by_moment: bool,
}

pub(crate) fn parse(connector: &ConnectorId, text: &str, zone_name: &str) -> Result<Policies, LoadFault> {
    if text.len() > MOST_BYTES {
        return Err(LoadFault::TooLong { bytes: text.len() });
    }
    let zone = zone(zone_name)?;
    let read = PolicySet::from_str(text).map_err(|faults| LoadFault::Unreadable {
        faults: faults.iter().map(|fault| at_line(text, fault)).collect(),
    })?;
    if let Some(template) = read.templates().next() {
        return Err(LoadFault::Template { id: template.id().to_string() });
    }
    let set = named(&read)?;
    let (schema, _) =
        Schema::from_cedarschema_str(WORDS).map_err(|fault| LoadFault::Words(fault.to_string()))?;
    let said = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let faults: Vec<_> = said
        .validation_errors()
        .map(|fault| format!("guardrail `{}`, {}", fault.policy_id(), at_line(text, fault)))
        .collect();
    if !faults.is_empty() {
        return Err(LoadFault::Senseless { faults });
    }
    let speaks_of = |words: &[&str]| set.policies().any(|policy| speaks_of(policy, words));
    Ok(Policies {
        connector: connector.clone(),
        digest: digest(text, zone_name),
        by_moment: speaks_of(&OF_MOMENTS),
        by_use: speaks_of(&OF_USE),
        by_union: speaks_of(&["union"]),
        zone,
        set,
        authorizer: Authorizer::new(),
    })
}

fn zone(name: &str) -> Result<TimeZone, LoadFault> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|fault| LoadFault::Zone { zone: name.into(), fault: fault.to_string() })
}

/// A fault of Cedar's with the line that it is about.
fn at_line(text: &str, fault: &(impl Diagnostic + ?Sized)) -> String {
    let place = fault.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    match place.and_then(|place| text.get(..place)) {
        Some(before) => format!("line {}: {fault}", before.matches('\n').count() + 1),
        None => fault.to_string(),
    }
}

/// Calls each policy by its own @id.
fn named(read: &PolicySet) -> Result<PolicySet, LoadFault> {
    let mut by_id = BTreeMap::new();
    // In the order of the text: the ids that were given are counted.
    let mut policies: Vec<_> = read.policies().collect();
    policies.sort_by_key(|policy| {
        let id: &str = policy.id().as_ref();
        id.trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
    });
    for policy in policies {
        let id = policy.annotation("id").map_or_else(|| policy.id().to_string(), ToOwned::to_owned);
        if by_id.insert(id.clone(), policy.new_id(PolicyId::new(&id))).is_some() {
            return Err(LoadFault::TwiceNamed { id });
        }
    }
    if by_id.is_empty() {
        return Err(LoadFault::Empty);
    }
    PolicySet::from_policies(by_id.into_values())
        .map_err(|fault| LoadFault::Unreadable { faults: vec![fault.to_string()] })
}

pub(crate) fn list(set: &PolicySet) -> Vec<PolicyView> {
    let view = |policy: &Policy| PolicyView {
        id: policy.id().to_string(),
        permits: policy.effect() == Effect::Permit,
        reason: policy.annotation("reason").map(ToOwned::to_owned),
        by_moment: speaks_of(policy, &OF_MOMENTS),
    };
    set.policies().map(view).collect()
}

/// Whether a policy reads one of these words of its context. What cannot be looked into is taken to do so.
fn speaks_of(policy: &Policy, words: &[&str]) -> bool {
    policy.to_json().map_or(true, |json| names_one(&json, words))
}

fn names_one(json: &Value, words: &[&str]) -> bool {
    match json {
        Value::Object(fields) => {
            let named = fields.get("attr").and_then(Value::as_str);
            // The whole context, handed on or compared.
            let whole = fields.get("Var").and_then(Value::as_str) == Some("context");
            if let (Some(attr), Some(left)) = (named, fields.get("left")) {
                let of_context = left.get("Var").and_then(Value::as_str) == Some("context");
                return if of_context { words.contains(&attr) } else { names_one(left, words) };
            }
            whole || fields.values().any(|field| names_one(field, words))
        }
        Value::Array(items) => items.iter().any(|item| names_one(item, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn digest(text: &str, zone: &str) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(zone.as_bytes());
    context.update(&[0]);
    context.update(text.as_bytes());
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
