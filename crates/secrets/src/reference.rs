//! A reference to a secret: `scheme://locator#field`, never the secret itself.
//!
//! Everything that can be known without a store is checked here, and each document has exactly one
//! spelling, so that a binding cannot be walked around by writing the same reference in another way. Faults
//! never repeat the text: what was pasted here by mistake may be a password.

use std::fmt;
use std::str::FromStr;

use model::SecretReference;
use serde::{Deserialize, Serialize};

/// What every `env://` name begins with.
pub const ENV_PREFIX: &str = "TIDEGATE_SECRET_";

/// Longest reference, in bytes; a sealed value lies in its reference.
pub const LONGEST: usize = 64 * 1024;

/// Longest field name, in bytes.
const LONGEST_FIELD: usize = 128;

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A variable of the agent's own environment.
    Env,
    /// A file below a configured directory.
    File,
    /// The secret itself, sealed to the connector's key.
    Sealed,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Env, Self::File, Self::Sealed];

    /// Returns the text before `://`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceFault {
    #[error(
        "the secret is not a reference: write where it is kept, for example file://postgres/admin.json or env://TIDEGATE_SECRET_POSTGRES; the secret itself never stands here"
    )]
    NotAReference,
    #[error("secrets cannot be kept under `{scheme}://`: supported are env://, file:// and sealed://")]
    UnknownScheme { scheme: String },
    #[error("the reference has {len} bytes: the most is {LONGEST}")]
    TooLong { len: usize },
    #[error("`{scheme}://` is followed by nothing: name {example}")]
    Empty { scheme: Scheme, example: &'static str },
    #[error(
        "the variable after `env://` does not begin with {ENV_PREFIX}: only such variables are read, so that no other one can be sent to a target"
    )]
    ForeignVariable,
    #[error("the variable after `env://` has the character {found:?}: allowed are A-Z, 0-9 and `_`")]
    VariableCharacter { found: char },
    #[error(
        "the path after `file://` is absolute: give it relative to the secret directory, for example file://postgres/admin.json"
    )]
    AbsolutePath,
    #[error(
        "the path after `file://` has an empty part, `.` or `..`: write the plain path below the secret directory"
    )]
    RoundaboutPath,
    #[error("the path after `file://` has the character {found:?}: rename the file without it")]
    PathCharacter { found: char },
    #[error(
        "the sealed value has the character {found:?}: copy the whole line that `tidegatectl seal` prints"
    )]
    SealedCharacter { found: char },
    #[error("the field after `#` is empty: name a key of the secret or leave `#` out")]
    EmptyField,
    #[error(
        "the field after `#` is longer than {LONGEST_FIELD} bytes or has a character other than a-z, A-Z, 0-9, `_`, `-`, `.`"
    )]
    Field,
}

/// The part of a reference that a binding is about: scheme and locator, without the field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(String);

impl Document {
    /// Returns the whole text, also of a sealed value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    scheme: Scheme,
    locator: String,
    field: Option<String>,
}

impl Reference {
    /// Checks a text and takes it as a reference.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and the way out.
    pub fn parse(text: &str) -> Result<Self, ReferenceFault> {
        if text.len() > LONGEST {
            return Err(ReferenceFault::TooLong { len: text.len() });
        }
        let (scheme, rest) = text.split_once("://").ok_or(ReferenceFault::NotAReference)?;
        let Some(scheme) = Scheme::ALL.into_iter().find(|known| known.word() == scheme) else {
            return Err(unknown(scheme));
        };
        let (locator, field) = match rest.split_once('#') {
            Some((locator, field)) => (locator, Some(field)),
            None => (rest, None),
        };
        match scheme {
            Scheme::Env => variable(locator)?,
            Scheme::File => path(locator)?,
            Scheme::Sealed => sealed(locator)?,
        }
        if let Some(field) = field {
            named(field)?;
        }
        Ok(Self { scheme, locator: locator.into(), field: field.map(Into::into) })
    }

    /// Returns where the secret is kept.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns what stands between `://` and `#`.
    pub fn locator(&self) -> &str {
        &self.locator
    }

    /// Returns the member of the document that holds the secret, when it is not the whole document.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Returns what a binding is about. The field is no part of it: whoever may have one member of a
    /// document sent somewhere could otherwise have another one sent elsewhere.
    pub fn document(&self) -> Document {
        Document(format!("{}://{}", self.scheme, self.locator))
    }
}

fn unknown(scheme: &str) -> ReferenceFault {
    let plain = scheme.len() <= 32
        && scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if plain {
        ReferenceFault::UnknownScheme { scheme: scheme.into() }
    } else {
        ReferenceFault::NotAReference
    }
}

fn variable(name: &str) -> Result<(), ReferenceFault> {
    if name.is_empty() {
        return Err(ReferenceFault::Empty { scheme: Scheme::Env, example: "a variable TIDEGATE_SECRET_…" });
    }
    match name.strip_prefix(ENV_PREFIX) {
        None | Some("") => Err(ReferenceFault::ForeignVariable),
        Some(rest) => {
            match rest.chars().find(|c| !(c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_')) {
                Some(found) => Err(ReferenceFault::VariableCharacter { found }),
                None => Ok(()),
            }
        }
    }
}

fn path(path: &str) -> Result<(), ReferenceFault> {
    if path.is_empty() {
        return Err(ReferenceFault::Empty {
            scheme: Scheme::File,
            example: "a file below the secret directory",
        });
    }
    if path.starts_with('/') {
        return Err(ReferenceFault::AbsolutePath);
    }
    if let Some(found) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(ReferenceFault::PathCharacter { found });
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ReferenceFault::RoundaboutPath);
    }
    Ok(())
}

fn sealed(value: &str) -> Result<(), ReferenceFault> {
    if value.is_empty() {
        return Err(ReferenceFault::Empty {
            scheme: Scheme::Sealed,
            example: "the value that `tidegatectl seal` prints",
        });
    }
    match value.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))) {
        Some(found) => Err(ReferenceFault::SealedCharacter { found }),
        None => Ok(()),
    }
}

fn named(field: &str) -> Result<(), ReferenceFault> {
    if field.is_empty() {
        return Err(ReferenceFault::EmptyField);
    }
    let plain = field.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if plain && field.len() <= LONGEST_FIELD { Ok(()) } else { Err(ReferenceFault::Field) }
}

impl FromStr for Reference {
    type Err = ReferenceFault;
    fn from_str(text: &str) -> Result<Self, ReferenceFault> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceFault;
    fn try_from(text: String) -> Result<Self, ReferenceFault> {
        Self::parse(&text)
    }
}

impl TryFrom<&SecretReference> for Reference {
    type Error = ReferenceFault;
    fn try_from(reference: &SecretReference) -> Result<Self, ReferenceFault> {
        Self::parse(&reference.0)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        match &reference.field {
            Some(field) => format!("{}://{}#{field}", reference.scheme, reference.locator),
            None => format!("{}://{}", reference.scheme, reference.locator),
        }
    }
}

impl fmt::Display for Reference {
    /// The reference for people; of a sealed value only its beginning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scheme, self.locator.get(..16)) {
            (Scheme::Sealed, Some(start)) if self.locator.len() > 24 => write!(f, "sealed://{start}…")?,
            _ => write!(f, "{}://{}", self.scheme, self.locator)?,
        }
        match &self.field {
            Some(field) => write!(f, "#{field}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReferenceFault as F;

    #[test]
    fn references_are_read() {
        let table = [
            ("env", "env://TIDEGATE_SECRET_PG", Scheme::Env, "TIDEGATE_SECRET_PG", None),
            ("env, field", "env://TIDEGATE_SECRET_PG#prod", Scheme::Env, "TIDEGATE_SECRET_PG", Some("prod")),
            ("file", "file://postgres/admin.json", Scheme::File, "postgres/admin.json", None),
            ("file, unicode", "file://böse/Ünî", Scheme::File, "böse/Ünî", None),
            ("file, hidden", "file://..data/x", Scheme::File, "..data/x", None),
            ("sealed", "sealed://1/k/BB-_", Scheme::Sealed, "1/k/BB-_", None),
        ];
        for (name, text, scheme, locator, field) in table {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (reference.scheme(), reference.locator(), reference.field()),
                (scheme, locator, field),
                "{name}"
            );
            assert_eq!(String::from(reference), text, "{name}");
        }
    }

    #[test]
    fn what_is_not_a_reference_is_refused_with_a_reason() {
        let foreign = F::ForeignVariable;
        let table = [
            ("nothing", "", F::NotAReference),
            ("a password", "hunter2", F::NotAReference),
            ("one slash short", "file:/x", F::NotAReference),
            ("upper case", "FILE://x", F::NotAReference),
            ("vault", "vault://kv/pg", F::UnknownScheme { scheme: "vault".into() }),
            (
                "env, none",
                "env://",
                F::Empty { scheme: Scheme::Env, example: "a variable TIDEGATE_SECRET_…" },
            ),
            ("env, other", "env://HOME", foreign.clone()),
            ("env, only the prefix", "env://TIDEGATE_SECRET_", foreign.clone()),
            ("env, lower case prefix", "env://tidegate_secret_X", foreign),
            ("env, lower case", "env://TIDEGATE_SECRET_x", F::VariableCharacter { found: 'x' }),
            ("file, absolute", "file:///etc/shadow", F::AbsolutePath),
            ("file, up", "file://a/../b", F::RoundaboutPath),
            ("file, dot", "file://./a", F::RoundaboutPath),
            ("file, double slash", "file://a//b", F::RoundaboutPath),
            ("file, trailing slash", "file://a/", F::RoundaboutPath),
            ("file, NUL", "file://a\0b", F::PathCharacter { found: '\0' }),
            ("file, newline", "file://a\nb", F::PathCharacter { found: '\n' }),
            ("file, backslash", "file://a\\b", F::PathCharacter { found: '\\' }),
            ("sealed, cut by a line end", "sealed://1/k/AA\nBB", F::SealedCharacter { found: '\n' }),
            ("field, empty", "file://a#", F::EmptyField),
            ("field, second hash", "file://a#b#c", F::Field),
            ("field, space", "file://a#b c", F::Field),
        ];
        for (name, text, fault) in table {
            assert_eq!(Reference::parse(text).unwrap_err(), fault, "{name}");
        }
        let long = format!("file://{}", "x".repeat(LONGEST));
        assert!(matches!(Reference::parse(&long), Err(F::TooLong { .. })));
    }

    #[test]
    fn a_fault_never_repeats_what_may_be_a_secret() {
        for text in [
            "s3cr3tvalue",
            "postgres://ann:s3cr3tvalue@db/x",
            "S3CR3T s3cr3tvalue://x",
            "file://a#s3cr3tvalue\n",
        ] {
            let fault = Reference::parse(text).unwrap_err();
            assert!(!format!("{fault} {fault:?}").contains("s3cr3tvalue"), "{text}: {fault:?}");
        }
    }

    #[test]
    fn the_field_is_no_part_of_the_document() {
        let whole = Reference::parse("file://pg").unwrap();
        let member = Reference::parse("file://pg#prod").unwrap();
        assert_eq!(whole.document(), member.document());
    }

    #[test]
    fn a_sealed_value_is_shortened_for_people_and_kept_for_machines() {
        let text = format!("sealed://{}", "A".repeat(400));
        let reference = Reference::parse(&text).unwrap();
        assert!(reference.to_string().len() < 40);
        assert_eq!(reference.document().as_str(), text);
    }

    #[test]
    fn fuzz_references() {
        let good = [
            "env://TIDEGATE_SECRET_PG#prod",
            "file://postgres/admin.json#password",
            "sealed://1/0123456789abcdef/BB-_",
        ];
        fuzz::hammer_text("references", &good, |text| {
            if let Ok(reference) = Reference::parse(text) {
                assert_eq!(String::from(reference.clone()), text, "read as something else");
                let up = reference.locator().split('/').any(|part| part == "..");
                assert!(reference.scheme() != Scheme::File || !up, "it leads out of the folder");
            }
        });
    }
}
