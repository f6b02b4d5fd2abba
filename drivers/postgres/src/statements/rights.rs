//! What permission roles hold: READ_ONLY, READ_WRITE and ADMIN by kind of object, and the statements that give it.

use crate::quote::Ident;
use crate::scope::{Level, Scope};
use crate::version::Version;

/// Which privileges a permission role has, by the kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) database: Vec<&'static str>,
    pub(crate) schemas: Vec<&'static str>,
    pub(crate) tables: Vec<&'static str>,
    pub(crate) sequences: Vec<&'static str>,
    pub(crate) routines: Vec<&'static str>,
}

impl Definition {
    /// Defines a permission: the one place that says what READ_ONLY, READ_WRITE and ADMIN are.
    pub(crate) fn of(scope: &Scope, level: Level, version: Version) -> Self {
        let is_database = matches!(scope, Scope::Database { .. });
        let is_table = matches!(scope, Scope::Table { .. });
        let admin = level == Level::Admin;
        let mut tables = match level {
            Level::ReadOnly => vec!["SELECT"],
            Level::ReadWrite => vec!["SELECT", "INSERT", "UPDATE", "DELETE"],
            Level::Admin => {
                vec!["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
            }
        };
        if admin && version.has_maintain() {
            tables.push("MAINTAIN");
        }
        Self {
            database: if admin && is_database {
                vec!["CONNECT", "CREATE", "TEMPORARY"]
            } else {
                vec!["CONNECT"]
            },
            schemas: if admin && !is_table { vec!["USAGE", "CREATE"] } else { vec!["USAGE"] },
            tables,
            sequences: match level {
                Level::ReadOnly if is_table => vec![],
                Level::ReadOnly => vec!["SELECT"],
                Level::ReadWrite => vec!["USAGE", "SELECT"],
                Level::Admin => vec!["USAGE", "SELECT", "UPDATE"],
            },
            routines: if admin && !is_table { vec!["EXECUTE"] } else { vec![] },
        }
    }
}

/// Objects on which a permission role is given what its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Database(Ident),
    Schemas(Vec<Ident>),
    Tables(Vec<(Ident, Ident)>),
    Sequences(Vec<(Ident, Ident)>),
    /// Signatures, quoted by the server.
    Routines(Vec<String>),
    /// What a role will make, in a schema or in the whole database.
    Future {
        creator: Ident,
        schema: Option<Ident>,
        kind: Future,
    },
}

/// Which objects to come default privileges are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Future {
    Schemas,
    Tables,
    Sequences,
    Routines,
}

/// Gives a permission role what its definition says on a subject.
pub(crate) fn give(subject: &Subject, role: &Ident, definition: &Definition, version: Version) -> String {
    let dotted = |names: &[(Ident, Ident)]| {
        let texts: Vec<String> = names.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
        texts.join(", ")
    };
    match subject {
        Subject::Database(name) => {
            format!("GRANT {} ON DATABASE {name} TO {role}", definition.database.join(", "))
        }
        Subject::Schemas(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("GRANT {} ON SCHEMA {} TO {role}", definition.schemas.join(", "), names.join(", "))
        }
        Subject::Tables(names) => {
            format!("GRANT {} ON TABLE {} TO {role}", definition.tables.join(", "), dotted(names))
        }
        Subject::Sequences(names) => {
            format!("GRANT {} ON SEQUENCE {} TO {role}", definition.sequences.join(", "), dotted(names))
        }
        Subject::Routines(signatures) => {
            let kind = if version.has_routines() { "ROUTINE" } else { "FUNCTION" };
            format!("GRANT {} ON {kind} {} TO {role}", definition.routines.join(", "), signatures.join(", "))
        }
        Subject::Future { creator, schema, kind } => {
            let place = schema.as_ref().map(|schema| format!(" IN SCHEMA {schema}")).unwrap_or_default();
            let (privileges, kind) = match kind {
                Future::Schemas => (&definition.schemas, "SCHEMAS"),
                Future::Tables => (&definition.tables, "TABLES"),
                Future::Sequences => (&definition.sequences, "SEQUENCES"),
                Future::Routines => (&definition.routines, "FUNCTIONS"),
            };
            format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {creator}{place} GRANT {} ON {kind} TO {role}",
                privileges.join(", ")
            )
        }
    }
}
