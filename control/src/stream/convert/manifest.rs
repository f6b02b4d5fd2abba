//! A driver's manifest, as JSON for people and forms, and as what the rules need of it.

use std::collections::{BTreeMap, BTreeSet};

use model::ConnectorId;
use proto::v1;
use serde_json::{Value, json};

use super::{Unreadable, name};
use crate::record::Driver;
use crate::rules::setting::Format;
use crate::rules::terms::Catalogue;

/// Reads a driver's manifest.
pub(super) fn driver(connector: &ConnectorId, wire: v1::DriverManifest) -> Result<Driver, Unreadable> {
    let kind = name("manifests.kind", wire.kind.clone())?;
    let mut permissions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in &wire.resources {
        let names = resource.permissions.iter().map(|permission| permission.name.clone());
        permissions.insert(name("manifests.resources.kind", resource.kind.clone())?, names.collect());
    }
    let settings = wire.fields.iter().map(|field| (field.key.clone(), field.required)).collect();
    let formats = wire.fields.iter().map(|field| (field.key.clone(), format(field))).collect();
    let catalogue = Catalogue { permissions, settings, formats };
    Ok(Driver { connector: connector.clone(), kind, manifest: shown(&wire), catalogue })
}

/// One that is not told, or that this build does not know, is as any text.
fn format(field: &v1::SettingField) -> Format {
    use v1::field_format::Format as Wire;
    match field.format.as_ref().and_then(|format| format.format.as_ref()) {
        None => Format::Any,
        Some(Wire::Text(text)) => Format::Text { max_bytes: text.max_bytes },
        Some(Wire::Host(_)) => Format::Host,
        Some(Wire::Port(_)) => Format::Port,
        Some(Wire::Choice(choice)) => Format::Choice { allowed: choice.allowed.clone() },
        Some(Wire::Whole(whole)) => Format::Whole { least: whole.least, most: whole.most },
        Some(Wire::Flag(_)) => Format::Flag,
        Some(Wire::Duration(_)) => Format::Duration,
        Some(Wire::Pem(_)) => Format::Pem,
    }
}

fn shown(wire: &v1::DriverManifest) -> Value {
    let ownership = match wire.ownership() {
        v1::Ownership::Owned => "owned",
        v1::Ownership::Borrowed => "borrowed",
        v1::Ownership::Unspecified => "unknown",
    };
    let mark = match wire.mark() {
        v1::MarkClass::Full => "full",
        v1::MarkClass::Recognisable => "recognisable",
        v1::MarkClass::None | v1::MarkClass::Unspecified => "none",
    };
    let secret_key = |key: &v1::SecretKey| json!({ "key": key.key, "label": key.label, "help": key.help, "required": key.required });
    let right =
        |right: &v1::RightNeeded| json!({ "name": right.name, "why": right.why, "required": right.required });
    let setup = wire
        .setup
        .as_ref()
        .map(|setup| json!({ "language": setup.language, "prepare": setup.prepare, "remove": setup.remove }));
    json!({
        "kind": wire.kind,
        "product": wire.product,
        "also_serves": wire.also_serves,
        "summary": wire.summary,
        "fields": wire.fields.iter().map(field).collect::<Vec<_>>(),
        "secret_keys": wire.secret_keys.iter().map(secret_key).collect::<Vec<_>>(),
        "resources": wire.resources.iter().map(resource).collect::<Vec<_>>(),
        "ownership": ownership,
        "mark": mark,
        "login_expiry": wire.login_expiry.as_ref().map(expiry),
        "session_expiry": wire.session_expiry.as_ref().map(expiry),
        "rights_survive_in_sessions": survival(wire.rights_survive_in_sessions.as_ref()),
        "verifier": (!wire.verifier.is_empty()).then_some(&wire.verifier),
        "residuals": wire.residuals.iter().map(residual).collect::<Vec<_>>(),
        "rights": wire.rights.iter().map(right).collect::<Vec<_>>(),
        "setup": setup,
    })
}

fn field(field: &v1::SettingField) -> Value {
    use v1::field_format::Format;
    let format = field.format.as_ref().and_then(|format| format.format.as_ref());
    let format = match format {
        None => json!({ "format": "text" }),
        Some(Format::Text(text)) => json!({ "format": "text", "max_bytes": text.max_bytes }),
        Some(Format::Host(_)) => json!({ "format": "host" }),
        Some(Format::Port(_)) => json!({ "format": "port" }),
        Some(Format::Choice(choice)) => json!({ "format": "choice", "allowed": choice.allowed }),
        Some(Format::Whole(whole)) => json!({ "format": "whole", "least": whole.least, "most": whole.most }),
        Some(Format::Flag(_)) => json!({ "format": "flag" }),
        Some(Format::Duration(_)) => json!({ "format": "duration" }),
        Some(Format::Pem(_)) => json!({ "format": "pem" }),
    };
    json!({
        "key": field.key,
        "label": field.label,
        "help": field.help,
        "default": field.default,
        "required": field.required,
        "format": format,
    })
}

fn resource(resource: &v1::ResourceType) -> Value {
    let permission = |permission: &v1::PermissionType| {
        json!({
            "name": permission.name,
            "sentence": permission.sentence,
            "manages_accounts": permission.manages_accounts,
        })
    };
    json!({
        "kind": resource.kind,
        "label": resource.label,
        "path": resource.path,
        "permissions": resource.permissions.iter().map(permission).collect::<Vec<_>>(),
    })
}

fn expiry(expiry: &v1::Expiry) -> Value {
    let class = match expiry.class() {
        v1::ExpiryClass::None | v1::ExpiryClass::Unspecified => "none",
        v1::ExpiryClass::Exact => "exact",
        v1::ExpiryClass::Coarse => "coarse",
        v1::ExpiryClass::Rolling => "rolling",
    };
    json!({ "class": class, "seconds": expiry.seconds, "note": expiry.note })
}

fn survival(survival: Option<&v1::Survival>) -> Value {
    match survival.map(|survival| (survival.class(), survival.below_major)) {
        Some((v1::SurvivalClass::Never, _)) => json!({ "class": "never" }),
        Some((v1::SurvivalClass::Below, major)) => json!({ "class": "below", "below_major": major }),
        Some((v1::SurvivalClass::Always | v1::SurvivalClass::Unspecified, _)) | None => {
            json!({ "class": "always" })
        }
    }
}

fn residual(residual: &v1::ResidualVector) -> Value {
    let kind = match residual.kind() {
        v1::ResidualKind::Session => "session",
        v1::ResidualKind::PreparedTransaction => "prepared_transaction",
        v1::ResidualKind::OwnedObjects => "owned_objects",
        v1::ResidualKind::OnwardGrant => "onward_grant",
        v1::ResidualKind::ScheduledJob => "scheduled_job",
        v1::ResidualKind::IssuedToken => "issued_token",
        v1::ResidualKind::PublicRights => "public_rights",
        v1::ResidualKind::UnreachableNode => "unreachable_node",
        v1::ResidualKind::Other | v1::ResidualKind::Unspecified => "other",
    };
    json!({ "kind": kind, "what": residual.what, "observed": residual.observed, "remedy": residual.remedy })
}
