//! Whether a request can be made: everything that is wrong with it, all at once.

use std::collections::BTreeSet;

use model::{Entitlement, Lifecycle, Span, Timestamp};

use super::fault::{Fault, text_fault};
use super::terms::{Catalogue, Offer};

/// Most entitlements of one request.
pub const MOST_ENTITLEMENTS: usize = 1_000;
/// Most characters of a justification.
pub const LONGEST_JUSTIFICATION: usize = 2_000;
/// Most parts of a resource's path.
pub const DEEPEST_PATH: usize = 16;
/// Most bytes of one part of a resource's path.
pub const LONGEST_PART: usize = 256;
/// How far ahead a request may begin.
pub const FARTHEST_START: Span = Span::from_days(90);

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub entitlements: Vec<Entitlement>,
    /// How long; counted from approval, or from `from`.
    pub duration: Span,
    /// Not before; at once when missing.
    pub from: Option<Timestamp>,
    pub justification: String,
}

/// Returns all that is wrong with a request. `longest` is the server's own limit.
pub fn ask_faults(
    ask: &Ask,
    offer: &Offer,
    catalogue: &Catalogue,
    longest: Span,
    now: Timestamp,
) -> Vec<Fault> {
    let mut faults = vec![];
    if offer.integration.lifecycle == Lifecycle::Retiring {
        faults.push(Fault::new("integration", "it is being retired", "choose another integration"));
    }
    let longest = offer.longest.map_or(longest, |own| own.min(longest));
    if ask.duration == Span::ZERO {
        faults.push(Fault::new("duration_seconds", "it is 0", "give at least 1"));
    } else if ask.duration > longest {
        faults.push(Fault::new(
            "duration_seconds",
            format!("it is {}, the most here is {longest}", ask.duration),
            "ask for less, and again when it is over",
        ));
    }
    if let Some(from) = ask.from {
        if from > now.plus(FARTHEST_START) {
            faults.push(Fault::new(
                "from",
                format!("it is more than {FARTHEST_START} ahead"),
                "choose an earlier time",
            ));
        } else if from.plus(ask.duration) <= now {
            faults.push(Fault::new("from", "the access would be over already", "choose a later time"));
        }
    }
    if ask.justification.trim().is_empty() {
        faults.push(Fault::new("justification", "it is empty", "say what the access is for"));
    }
    faults.extend(text_fault("justification", &ask.justification, LONGEST_JUSTIFICATION, true));
    faults.extend(entitlement_faults(&ask.entitlements, offer, catalogue));
    faults
}

fn entitlement_faults(entitlements: &[Entitlement], offer: &Offer, catalogue: &Catalogue) -> Vec<Fault> {
    if entitlements.is_empty() {
        return vec![Fault::new("entitlements", "it is empty", "name at least one resource and permission")];
    }
    if entitlements.len() > MOST_ENTITLEMENTS {
        let reason = format!("there are {}, the most is {MOST_ENTITLEMENTS}", entitlements.len());
        return vec![Fault::new("entitlements", reason, "split the request")];
    }
    let mut faults = vec![];
    let mut seen = BTreeSet::new();
    for (n, entitlement) in entitlements.iter().enumerate() {
        let kind = &entitlement.resource.kind.0;
        let path = &entitlement.resource.path;
        match catalogue.permissions.get(kind) {
            None => faults.push(Fault::new(
                format!("entitlements[{n}].resource.kind"),
                format!("the driver `{}` has no kind `{}`", offer.integration.kind, kind.escape_debug()),
                one_of(catalogue.permissions.keys()),
            )),
            Some(permissions) if !permissions.contains(&entitlement.permission.0) => faults.push(Fault::new(
                format!("entitlements[{n}].permission"),
                format!("`{kind}` has no permission `{}`", entitlement.permission.0.escape_debug()),
                one_of(permissions.iter()),
            )),
            Some(_) => {}
        }
        let odd = path.len() > DEEPEST_PATH
            || path.iter().any(|part| part.is_empty() || part.len() > LONGEST_PART || part.contains('\0'));
        if odd {
            faults.push(Fault::new(
                format!("entitlements[{n}].resource.path"),
                format!("it needs at most {DEEPEST_PATH} parts of 1 to {LONGEST_PART} bytes without NUL"),
                "take the path from the list of resources",
            ));
        }
        if !seen.insert(entitlement) {
            faults.push(Fault::new(format!("entitlements[{n}]"), "it is named twice", "name it once"));
        }
    }
    faults
}

fn one_of<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let words: Vec<_> = words.map(String::as_str).collect();
    format!("choose one of: {}", words.join(", "))
}
