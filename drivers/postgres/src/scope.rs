//! The driver's vocabulary: resource kinds and permissions, read from entitlements and written back.

use model::{Code, Entitlement, Failure, ResourceId};

use crate::quote::{Ident, shown};

pub(crate) const DATABASE: &str = "postgresql-database";
pub(crate) const SCHEMA: &str = "postgresql-schema";
pub(crate) const TABLE: &str = "postgresql-table";
pub(crate) const ROLE: &str = "postgresql-role";

pub(crate) const READ_ONLY: &str = "READ_ONLY";
pub(crate) const READ_WRITE: &str = "READ_WRITE";
pub(crate) const ADMIN: &str = "ADMIN";
pub(crate) const ATTACH: &str = "Attach";

/// How much may be done within a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    ReadOnly,
    ReadWrite,
    Admin,
}

impl Level {
    pub(crate) const ALL: [Self; 3] = [Self::ReadOnly, Self::ReadWrite, Self::Admin];

    /// Returns the word in the name of a permission role.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
            Self::Admin => "adm",
        }
    }

    pub(crate) const fn permission(self) -> &'static str {
        match self {
            Self::ReadOnly => READ_ONLY,
            Self::ReadWrite => READ_WRITE,
            Self::Admin => ADMIN,
        }
    }
}

/// Where a permission role's rights lie.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Database { database: String },
    Schema { database: String, schema: String },
    Table { database: String, schema: String, table: String },
}

impl Scope {
    pub(crate) fn database(&self) -> &str {
        match self {
            Self::Database { database } | Self::Schema { database, .. } | Self::Table { database, .. } => {
                database
            }
        }
    }

    pub(crate) fn schema(&self) -> Option<&str> {
        match self {
            Self::Database { .. } => None,
            Self::Schema { schema, .. } | Self::Table { schema, .. } => Some(schema),
        }
    }

    pub(crate) fn table(&self) -> Option<&str> {
        match self {
            Self::Database { .. } | Self::Schema { .. } => None,
            Self::Table { table, .. } => Some(table),
        }
    }

    /// Whether it lies in a schema of the server's own: there are the verifiers of every login, the admin's with
    /// them, and functions that read the server's files.
    pub(crate) fn is_the_systems(&self) -> bool {
        self.schema().is_some_and(|schema| schema.starts_with("pg_") || schema == "information_schema")
    }

    pub(crate) fn resource(&self) -> ResourceId {
        match self {
            Self::Database { database } => ResourceId::new(DATABASE, [database]),
            Self::Schema { database, schema } => ResourceId::new(SCHEMA, [database, schema]),
            Self::Table { database, schema, table } => ResourceId::new(TABLE, [database, schema, table]),
        }
    }
}

/// What an entitlement means here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// By one of our permission roles.
    Shared { scope: Scope, level: Level },
    /// By membership in a role of the target's owner.
    Attach { role: String },
}

impl Right {
    /// Reads an entitlement.
    ///
    /// # Errors
    /// [`Code::PERMISSION_UNKNOWN`] outside the vocabulary, [`Code::NAME_REFUSED`] for a name that
    /// PostgreSQL cannot have.
    pub(crate) fn of(entitlement: &Entitlement) -> Result<Self, Failure> {
        let resource = &entitlement.resource;
        for part in &resource.path {
            Ident::asked(part)?;
        }
        let level = || Level::ALL.into_iter().find(|level| level.permission() == entitlement.permission.0);
        let scope = match (resource.kind.0.as_str(), resource.path.as_slice()) {
            (DATABASE, [database]) => Some(Scope::Database { database: database.clone() }),
            (SCHEMA, [database, schema]) => {
                Some(Scope::Schema { database: database.clone(), schema: schema.clone() })
            }
            (TABLE, [database, schema, table]) => Some(Scope::Table {
                database: database.clone(),
                schema: schema.clone(),
                table: table.clone(),
            }),
            (ROLE, [role]) if entitlement.permission.0 == ATTACH => {
                return Ok(Self::Attach { role: role.clone() });
            }
            _ => None,
        };
        match scope.zip(level()) {
            Some((scope, level)) => Ok(Self::Shared { scope, level }),
            None => Err(Failure::refused(
                Code::PERMISSION_UNKNOWN,
                format!(
                    "PostgreSQL has no permission {} on {} with {} names: use one that the driver's manifest lists",
                    shown(&entitlement.permission.0),
                    shown(&resource.kind.0),
                    resource.path.len(),
                ),
            )),
        }
    }

    pub(crate) fn entitlement(&self) -> Entitlement {
        match self {
            Self::Shared { scope, level } => Entitlement::new(scope.resource(), level.permission()),
            Self::Attach { role } => Entitlement::new(ResourceId::new(ROLE, [role]), ATTACH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_vocabulary_is_read_and_written_back() {
        let long = "x".repeat(64);
        let known = Ok(());
        type Row<'r> = (&'r str, &'r str, &'r [&'r str], &'r str, Result<(), Code>);
        let table: [Row<'_>; 11] = [
            ("database", DATABASE, &["app"], READ_ONLY, known.clone()),
            ("schema", SCHEMA, &["app", "public"], READ_WRITE, known.clone()),
            ("table", TABLE, &["app", "public", "orders"], ADMIN, known.clone()),
            ("role", ROLE, &["analysts"], ATTACH, known),
            (
                "a table without its schema",
                TABLE,
                &["app", "orders"],
                READ_ONLY,
                Err(Code::PERMISSION_UNKNOWN),
            ),
            ("a role read-only", ROLE, &["analysts"], READ_ONLY, Err(Code::PERMISSION_UNKNOWN)),
            ("a database attached", DATABASE, &["app"], ATTACH, Err(Code::PERMISSION_UNKNOWN)),
            ("another case", DATABASE, &["app"], "read_only", Err(Code::PERMISSION_UNKNOWN)),
            ("another kind", "mysql-database", &["app"], READ_ONLY, Err(Code::PERMISSION_UNKNOWN)),
            ("a long name", DATABASE, &[&long], READ_ONLY, Err(Code::NAME_REFUSED)),
            ("a zero byte", DATABASE, &["a\0b"], READ_ONLY, Err(Code::NAME_REFUSED)),
        ];
        for (name, kind, path, permission, expected) in table {
            let entitlement = Entitlement::new(ResourceId::new(kind, path.iter().copied()), permission);
            let read = Right::of(&entitlement);
            if let Ok(right) = &read {
                assert_eq!(right.entitlement(), entitlement, "{name}");
            }
            assert_eq!(read.map(drop).map_err(|failure| failure.code), expected, "{name}");
        }
    }
}
