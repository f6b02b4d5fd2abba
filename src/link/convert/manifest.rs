//! What drivers offer and find, to the wire.

use std::collections::BTreeMap;

use driver::manifest::{
    CredentialForm, Expiry, ExpiryClass, Field, FieldFormat, Manifest, MarkClass, PermissionType,
    ResidualVector, ResourceType, RightNeeded, SecretKey, Survival,
};
use driver::sink::Resource;
use driver::{Grade, Probe};
use model::{Ownership, ResourceId};
use proto::{limits, v1};

use super::words::residual_kind;
use super::{Fault, cut};

/// Puts a driver's manifest on the wire.
pub(crate) fn manifest(manifest: &Manifest) -> v1::DriverManifest {
    v1::DriverManifest {
        kind: manifest.kind.into(),
        product: manifest.product.into(),
        also_serves: texts(manifest.also_serves),
        summary: manifest.summary.into(),
        fields: manifest.fields.iter().map(field).collect(),
        secret_keys: manifest.secret_keys.iter().map(secret_key).collect(),
        resources: manifest.resources.iter().map(resource_type).collect(),
        ownership: ownership(manifest.ownership).into(),
        mark: mark_class(manifest.mark).into(),
        login_expiry: Some(expiry(manifest.login_expiry)),
        session_expiry: Some(expiry(manifest.session_expiry)),
        rights_survive_in_sessions: Some(survival(manifest.rights_survive_in_sessions)),
        verifier: match manifest.credential {
            CredentialForm::Verifier { kind } => kind.into(),
            CredentialForm::Clear => String::new(),
        },
        residuals: manifest.residuals.iter().map(residual_vector).collect(),
        rights: manifest.rights.iter().map(right).collect(),
        setup: Some(v1::SetupScripts {
            language: manifest.setup.language.into(),
            prepare: manifest.setup_script(),
            remove: manifest.removal_script(),
        }),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).into()).collect()
}

fn field(field: &Field) -> v1::SettingField {
    v1::SettingField {
        key: field.key.into(),
        label: field.label.into(),
        help: field.help.into(),
        default: field.default.map(Into::into),
        required: field.required,
        format: Some(v1::FieldFormat { format: Some(field_format(&field.format)) }),
    }
}

fn field_format(format: &FieldFormat) -> v1::field_format::Format {
    use v1::field_format::{Choice, Duration, Flag, Format, Host, Pem, Port, Text, Whole};
    match format {
        FieldFormat::Text { max_bytes } => {
            Format::Text(Text { max_bytes: u32::try_from(*max_bytes).unwrap_or(u32::MAX) })
        }
        FieldFormat::Host => Format::Host(Host {}),
        FieldFormat::Port => Format::Port(Port {}),
        FieldFormat::Choice { allowed } => Format::Choice(Choice { allowed: texts(allowed) }),
        FieldFormat::Whole { least, most } => Format::Whole(Whole { least: *least, most: *most }),
        FieldFormat::Flag => Format::Flag(Flag {}),
        FieldFormat::Duration => Format::Duration(Duration {}),
        FieldFormat::Pem => Format::Pem(Pem {}),
    }
}

fn secret_key(key: &SecretKey) -> v1::SecretKey {
    v1::SecretKey {
        key: key.key.into(),
        label: key.label.into(),
        help: key.help.into(),
        required: key.required,
    }
}

fn resource_type(resource: &ResourceType) -> v1::ResourceType {
    v1::ResourceType {
        kind: resource.kind.into(),
        label: resource.label.into(),
        path: texts(resource.path),
        permissions: resource.permissions.iter().map(permission).collect(),
    }
}

fn permission(permission: &PermissionType) -> v1::PermissionType {
    v1::PermissionType {
        name: permission.name.into(),
        sentence: permission.sentence.into(),
        manages_accounts: permission.manages_accounts,
    }
}

const fn ownership(ownership: Ownership) -> v1::Ownership {
    match ownership {
        Ownership::Owned => v1::Ownership::Owned,
        Ownership::Borrowed => v1::Ownership::Borrowed,
    }
}

const fn mark_class(mark: MarkClass) -> v1::MarkClass {
    match mark {
        MarkClass::Full => v1::MarkClass::Full,
        MarkClass::Recognisable => v1::MarkClass::Recognisable,
        MarkClass::None => v1::MarkClass::None,
    }
}

fn expiry(expiry: Expiry) -> v1::Expiry {
    let (class, seconds) = match expiry.class {
        ExpiryClass::None => (v1::ExpiryClass::None, 0),
        ExpiryClass::Exact => (v1::ExpiryClass::Exact, 0),
        ExpiryClass::Coarse { step_secs } => (v1::ExpiryClass::Coarse, step_secs),
        ExpiryClass::Rolling { most_secs } => (v1::ExpiryClass::Rolling, most_secs),
    };
    v1::Expiry { class: class.into(), seconds, note: expiry.note.into() }
}

fn survival(survival: Survival) -> v1::Survival {
    let (class, below_major) = match survival {
        Survival::Never => (v1::SurvivalClass::Never, 0),
        Survival::Below { major } => (v1::SurvivalClass::Below, major),
        Survival::Always => (v1::SurvivalClass::Always, 0),
    };
    v1::Survival { class: class.into(), below_major }
}

fn residual_vector(vector: &ResidualVector) -> v1::ResidualVector {
    v1::ResidualVector {
        kind: residual_kind(vector.kind).into(),
        what: vector.what.into(),
        observed: vector.observed,
        remedy: vector.remedy.into(),
    }
}

fn right(right: &RightNeeded) -> v1::RightNeeded {
    v1::RightNeeded { name: right.name.into(), why: right.why.into(), required: right.required }
}

/// Puts what a check looked at on the wire.
pub(crate) fn probes(probes: &[Probe]) -> Vec<v1::Probe> {
    let probe = |probe: &Probe| v1::Probe {
        name: cut(&probe.name, limits::NAME_BYTES),
        grade: match probe.grade {
            Grade::Good => v1::Grade::Good,
            Grade::Warning => v1::Grade::Warning,
            Grade::Bad => v1::Grade::Bad,
        }
        .into(),
        detail: cut(&probe.detail, limits::TEXT_BYTES),
    };
    let mut shown: Vec<_> = probes.iter().collect();
    if shown.len() > limits::PROBES {
        // What is bad comes first, so that only what is good is left out.
        shown.sort_by_key(|probe| std::cmp::Reverse(probe.grade));
        shown.truncate(limits::PROBES);
    }
    shown.into_iter().map(probe).collect()
}

/// Puts a resource on the wire.
///
/// # Errors
/// When its names are longer than an order could give back: nobody could ask for it.
pub(crate) fn resource(resource: &Resource) -> Result<v1::Resource, Fault> {
    let id = resource_id(&resource.id)?;
    let tags = resource.tags.iter().take(limits::LABELS);
    let tags: BTreeMap<_, _> =
        tags.map(|(key, value)| (cut(key, limits::NAME_BYTES), cut(value, limits::NAME_BYTES))).collect();
    Ok(v1::Resource {
        id: Some(id),
        permissions: resource.permissions.iter().map(|permission| permission.0.clone()).collect(),
        tags,
    })
}

/// Puts a resource's name on the wire.
///
/// # Errors
/// When it has more, longer or emptier parts than the wire takes.
pub(crate) fn resource_id(id: &ResourceId) -> Result<v1::ResourceId, Fault> {
    const PATH: &str = "resource.id.path";
    let parts = &id.path;
    if parts.len() > limits::PATH_PARTS {
        return Err(Fault::TooMany { field: PATH, found: parts.len(), most: limits::PATH_PARTS });
    }
    if let Some(long) = parts.iter().find(|part| part.len() > limits::NAME_BYTES) {
        return Err(Fault::TooLong { field: PATH, found: long.len(), most: limits::NAME_BYTES });
    }
    if parts.iter().any(String::is_empty) {
        return Err(Fault::Missing { field: PATH });
    }
    Ok(v1::ResourceId { kind: id.kind.0.clone(), path: parts.clone() })
}
