//! The manifest: the single source of what a kind of target needs, offers and promises.
//!
//! Settings are checked by it, and portal forms, `tidegate drivers` and the
//! set-up scripts are made from it; nothing of that is written twice. It is static text and
//! numbers. What a live target can do besides (its version, its rights) is for `check` to say.

use std::collections::BTreeSet;

use model::{Ownership, ResidualKind};
use serde::Serialize;

use crate::naming::NameLimits;
use crate::settings;

/// What a kind of target needs, offers and promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The name of the driver in configuration, for example `postgres`.
    pub kind: &'static str,
    /// What people call the product, for example `PostgreSQL`.
    pub product: &'static str,
    /// Other products that this driver serves, as they are called.
    pub also_serves: &'static [&'static str],
    /// One sentence for lists.
    pub summary: &'static str,
    pub fields: &'static [Field],
    pub secret_keys: &'static [SecretKey],
    pub resources: &'static [ResourceType],
    pub ownership: Ownership,
    pub mark: MarkClass,
    /// What the target itself does about new logins after the deadline, when the agent is dead.
    pub login_expiry: Expiry,
    /// What the target itself does about open sessions after the deadline, when the agent is dead.
    pub session_expiry: Expiry,
    /// Whether a session goes on with rights that its account has lost.
    pub rights_survive_in_sessions: Survival,
    pub credential: CredentialForm,
    /// Whether shutting the login already voids the credential, so that the ladder need not scramble it.
    pub shutting_scrambles: bool,
    /// What may outlive a close on this kind of target, whatever the driver does.
    pub residuals: &'static [ResidualVector],
    pub rights: &'static [RightNeeded],
    pub names: NameLimits,
    pub setup: Setup,
}

/// One setting of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    pub key: &'static str,
    pub label: &'static str,
    /// Effect, edge values, and who should change it.
    pub help: &'static str,
    pub default: Option<&'static str>,
    pub required: bool,
    pub format: FieldFormat,
}

/// What a setting's text must look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum FieldFormat {
    /// Any text without control characters, of at most so many bytes.
    Text { max_bytes: usize },
    /// A host name or IP address.
    Host,
    /// A TCP port, 1 to 65535.
    Port,
    /// One of these words.
    Choice { allowed: &'static [&'static str] },
    /// A whole number within limits, both included.
    Whole { least: u64, most: u64 },
    /// `true` or `false`.
    Flag,
    /// A length of time, for example `90m`.
    Duration,
    /// Certificates in PEM form, as text.
    Pem,
}

/// One key of the admin secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretKey {
    pub key: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub required: bool,
}

/// One kind of resource and what can be had on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceType {
    /// For example `postgresql-table`.
    pub kind: &'static str,
    pub label: &'static str,
    /// What each part of the path is, outermost first, for example `database`, `schema`, `table`.
    pub path: &'static [&'static str],
    pub permissions: &'static [PermissionType],
}

/// One permission of a resource kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionType {
    /// For example `READ_ONLY`.
    pub name: &'static str,
    /// What the grantee can do with it, and what not, in one sentence.
    pub sentence: &'static str,
    /// Whether it lets its holder make or change accounts; such a permission needs a guardrail's word.
    pub manages_accounts: bool,
}

/// How much of an account's story the target can carry for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkClass {
    /// A whole signed mark: everything can be rebuilt from the target with the identity alone.
    Full,
    /// The account can be recognised as ours, but not its deadlines: not recoverable without journal or
    /// ledger.
    Recognisable,
    /// Nothing can be left on it.
    None,
}

/// What a target does by itself when a deadline passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Expiry {
    pub class: ExpiryClass,
    /// What it covers and what not, in one sentence.
    pub note: &'static str,
}

/// How exactly a target keeps a deadline by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum ExpiryClass {
    /// Not at all.
    None,
    /// To the second.
    Exact,
    /// Rounded up to a step.
    Coarse { step_secs: u32 },
    /// At most so far ahead: has to be moved on while an access lives.
    Rolling { most_secs: u32 },
}

/// Whether sessions go on with rights that their account has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "survival")]
pub enum Survival {
    /// A lost right is gone at the next statement.
    Never,
    /// On servers older than this major version they can.
    Below { major: u32 },
    /// They can.
    Always,
}

impl Survival {
    /// Returns true when the account's sessions must be ended after some of its rights were taken.
    ///
    /// `version` is what `check` told; one that cannot be read counts as the worst.
    pub fn holds_for(self, version: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Below { major } => {
                let digits = version.trim().split(|c: char| !c.is_ascii_digit()).next();
                digits.and_then(|text| text.parse::<u32>().ok()).is_none_or(|found| found < major)
            }
        }
    }
}

/// In which form the target is given a grantee's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "form")]
pub enum CredentialForm {
    /// As a verifier of this kind: the target never sees the clear text in a statement.
    Verifier { kind: &'static str },
    /// As clear text.
    Clear,
}

impl CredentialForm {
    /// Returns true when the clear text stays in the agent.
    pub const fn is_verifier(self) -> bool {
        matches!(self, Self::Verifier { .. })
    }
}

/// One way in which something may outlive a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResidualVector {
    pub kind: ResidualKind,
    /// What it is on this target.
    pub what: &'static str,
    /// Whether `observe` finds and reports it; what it does not find is said here and in the docs only.
    pub observed: bool,
    /// What an operator can do about it.
    pub remedy: &'static str,
}

/// One right that the admin credential needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RightNeeded {
    pub name: &'static str,
    /// What cannot be done without it.
    pub why: &'static str,
    /// The statement that gives it, with the set-up script's own placeholders.
    pub give: &'static str,
    /// The statement that takes it back.
    pub take: &'static str,
    /// False when only some resources or rungs need it.
    pub required: bool,
}

/// What the set-up script holds besides the rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// For example `sql` or `bash`.
    pub language: &'static str,
    /// What begins a comment in that language.
    pub comment: &'static str,
    /// How to run it, as comment lines: which client, as whom, which placeholders it fills.
    pub usage: &'static [&'static str],
    /// What both scripts begin with, for example names that they use.
    pub begin: &'static [&'static str],
    /// Makes the admin account.
    pub make: &'static [&'static str],
    /// What a removal looks at before it takes anything: it stops while something would be left that nobody closes.
    pub before_removal: &'static [&'static str],
    /// Removes the admin account, after the rights.
    pub remove: &'static [&'static str],
    /// In which ways a target can be prepared, the usual one first; empty when there is one only.
    pub modes: &'static [SetupMode],
}

/// One way to prepare a target: what the admin account may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetupMode {
    /// For example `least`.
    pub name: &'static str,
    /// What it gives, in one sentence.
    pub sentence: &'static str,
    /// What the driver cannot do with it, a sentence each.
    pub cannot: &'static [&'static str],
}

impl Manifest {
    /// Returns the field of that key.
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Returns the resource type of that kind.
    pub fn resource(&self, kind: &str) -> Option<&'static ResourceType> {
        self.resources.iter().find(|resource| resource.kind == kind)
    }

    /// Returns the permission of that resource kind.
    pub fn permission(&self, kind: &str, permission: &str) -> Option<&'static PermissionType> {
        self.resource(kind)?.permissions.iter().find(|known| known.name == permission)
    }

    /// Returns the script that prepares a target: the admin account, then its rights.
    pub fn setup_script(&self) -> String {
        let mut script = self.script_head("Prepares", "for Tidegate");
        for line in self.setup.make {
            push_line(&mut script, line);
        }
        for right in self.rights {
            let word = if right.required { "needed" } else { "optional" };
            push_line(&mut script, "");
            push_line(&mut script, &format!("{} {} ({word}): {}", self.setup.comment, right.name, right.why));
            push_line(&mut script, right.give);
        }
        script
    }

    /// Returns the script that takes the admin account and its rights away again.
    pub fn removal_script(&self) -> String {
        let mut script = self.script_head("Removes the admin account of Tidegate from", "");
        for line in self.setup.before_removal {
            push_line(&mut script, line);
        }
        for right in self.rights.iter().rev().filter(|right| !right.take.is_empty()) {
            push_line(&mut script, right.take);
        }
        for line in self.setup.remove {
            push_line(&mut script, line);
        }
        script
    }

    fn script_head(&self, verb: &str, tail: &str) -> String {
        let mut script = String::new();
        push_line(&mut script, format!("{} {verb} {} {tail}", self.setup.comment, self.product).trim_end());
        for line in self.setup.usage {
            push_line(&mut script, &format!("{} {line}", self.setup.comment));
        }
        for line in self.setup.begin {
            push_line(&mut script, line);
        }
        script
    }

    /// Returns what contradicts itself in this manifest; a driver's tests assert that nothing does.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = vec![];
        distinct("field", self.fields.iter().map(|field| field.key), &mut found);
        distinct("secret key", self.secret_keys.iter().map(|key| key.key), &mut found);
        distinct("resource kind", self.resources.iter().map(|resource| resource.kind), &mut found);
        distinct("mode", self.setup.modes.iter().map(|mode| mode.name), &mut found);
        distinct("right", self.rights.iter().map(|right| right.name), &mut found);
        for field in self.fields {
            if field.required && field.default.is_some() {
                found.push(format!("field `{}` is required and has a default", field.key));
            }
            if field.help.is_empty() || field.label.is_empty() {
                found.push(format!("field `{}` has no label or help", field.key));
            }
            if let Some(fault) = field.default.and_then(|text| settings::misfit(field, text)) {
                found.push(format!("the default of field `{}` {}", field.key, fault.reason));
            }
        }
        for resource in self.resources {
            distinct(resource.kind, resource.permissions.iter().map(|known| known.name), &mut found);
            if resource.permissions.is_empty() || resource.path.is_empty() {
                found.push(format!("resource kind `{}` has no permission or no path", resource.kind));
            }
            for permission in resource.permissions.iter().filter(|known| known.sentence.is_empty()) {
                found.push(format!("`{}` of `{}` has no sentence", permission.name, resource.kind));
            }
        }
        if self.secret_keys.is_empty() || self.resources.is_empty() {
            found.push("there is no secret key or no resource kind".into());
        }
        if let Err(fault) = self.names.check() {
            found.push(fault.to_string());
        }
        for right in self.rights.iter().filter(|right| right.why.is_empty() || right.give.is_empty()) {
            found.push(format!("right `{}` does not say why or how", right.name));
        }
        found
    }
}

fn push_line(script: &mut String, line: &str) {
    script.push_str(line);
    script.push('\n');
}

fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            found.push(format!("a {what} has no name"));
        }
        if !seen.insert(name) {
            found.push(format!("{what} `{name}` is there twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survival_takes_doubt_as_the_worst() {
        let table = [
            ("never", Survival::Never, "9.6", false),
            ("always", Survival::Always, "99", true),
            ("older", Survival::Below { major: 16 }, "15.13 (Debian 15.13-0+deb12u1)", true),
            ("same", Survival::Below { major: 16 }, "16.0", false),
            ("newer", Survival::Below { major: 16 }, "18beta1", false),
            ("not a version", Survival::Below { major: 16 }, "unknown", true),
            ("nothing", Survival::Below { major: 16 }, "", true),
        ];
        for (name, survival, version, expected) in table {
            assert_eq!(survival.holds_for(version), expected, "{name}");
        }
    }

    #[test]
    fn scripts_and_forms_are_made_from_it() {
        use crate::Driver;
        let manifest = crate::fake::Fake::new(crate::fake::Nature::Transactions).manifest();
        assert_eq!(manifest.contradictions(), Vec::<String>::new());
        assert_eq!(
            manifest.setup_script(),
            "# Prepares Made-up system for Tidegate\n\
             # Nothing has to be run: the system is in memory.\n\
             make tidegate\n\
             \n\
             # admin (needed): makes and removes accounts\n\
             give admin to tidegate\n"
        );
        assert_eq!(
            manifest.removal_script(),
            "# Removes the admin account of Tidegate from Made-up system\n\
             # Nothing has to be run: the system is in memory.\n\
             take admin from tidegate\n\
             remove tidegate\n"
        );
        let form = serde_json::to_value(manifest).unwrap();
        assert_eq!(form["fields"][1]["format"]["format"], "port");
        assert_eq!(form["rights_survive_in_sessions"]["survival"], "never");
        assert_eq!(form["names"]["max_bytes"], 63);
    }
}
