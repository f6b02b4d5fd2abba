//! Words → SQL, pure. Each function gives one statement; scripts that go in one exchange are joined here.
//!
//! Names come in as [`Ident`], texts as [`Literal`]: nothing else that somebody named gets into a statement.
//! The tests keep the statements of every verb and version branch as golden files.

mod rights;

use model::Timestamp;

use crate::quote::{Ident, Literal};
use crate::version::Version;

pub(crate) use rights::{Definition, Future, Subject, give};

/// The role that all accounts are members of, so that people and `survey` see them together. It has no right
/// and shares them with nobody; several connectors may share it.
pub(crate) const MANAGED: &str = "tidegate_managed";

pub(crate) const BEGIN: &str = "BEGIN";
pub(crate) const COMMIT: &str = "COMMIT";
pub(crate) const READ_BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// Long readings may take the time that mutating statements may not.
pub(crate) const LONG_READ: &str = "SET LOCAL statement_timeout = '30s'";
/// No transaction of ours commits later than this after its beginning, by the server's own clock: the last
/// statement before the commit divides by zero when it is too late.
pub(crate) const IN_TIME: &str = "SELECT 1 / (clock_timestamp() < now() + interval '5 s')::int";

/// What the server's clock says, in milliseconds.
pub(crate) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// Joins statements into a script for one exchange.
pub(crate) fn script<S: AsRef<str>>(statements: &[S]) -> String {
    let texts: Vec<&str> = statements.iter().map(AsRef::as_ref).collect();
    texts.join(";\n")
}

/// When the target itself stops logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    At(Timestamp),
    Never,
    Past,
}

impl From<Option<Timestamp>> for Until {
    fn from(expires: Option<Timestamp>) -> Self {
        expires.map_or(Self::Never, Self::At)
    }
}

impl Until {
    fn literal(self) -> Literal {
        match self {
            Self::At(time) => Literal::of(&time.to_string()),
            Self::Never => Literal::of("infinity"),
            Self::Past => Literal::of("-infinity"),
        }
    }
}

/// Makes an account: that cannot log in, or, in a transaction that brings it to all that it is to be, one that may
/// have so many sessions.
pub(crate) fn create_account(
    name: &Ident,
    until: Until,
    verifier: Option<&Literal>,
    sessions: Option<u32>,
) -> String {
    let login = if sessions.is_some() { "LOGIN" } else { "NOLOGIN" };
    let sessions = sessions.unwrap_or_default();
    let password = verifier.map(|verifier| format!(" PASSWORD {verifier}")).unwrap_or_default();
    format!(
        "CREATE ROLE {name} {login} INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS \
         CONNECTION LIMIT {sessions} VALID UNTIL {}{password}",
        until.literal()
    )
}

/// Makes a role that nobody logs in as.
pub(crate) fn create_shared(name: &Ident) -> String {
    format!(
        "CREATE ROLE {name} NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    )
}

pub(crate) fn comment(name: &Ident, text: Option<&Literal>) -> String {
    match text {
        Some(text) => format!("COMMENT ON ROLE {name} IS {text}"),
        None => format!("COMMENT ON ROLE {name} IS NULL"),
    }
}

pub(crate) fn rename(from: &Ident, to: &Ident) -> String {
    format!("ALTER ROLE {from} RENAME TO {to}")
}

pub(crate) fn expire(name: &Ident, until: Until) -> String {
    format!("ALTER ROLE {name} VALID UNTIL {}", until.literal())
}

pub(crate) fn credential(name: &Ident, verifier: &Literal) -> String {
    format!("ALTER ROLE {name} PASSWORD {verifier}")
}

/// Opens the login.
pub(crate) fn open_login(name: &Ident, sessions: u32) -> String {
    format!("ALTER ROLE {name} LOGIN CONNECTION LIMIT {sessions}")
}

/// Shuts the login, and takes the credential away with it: opened by hand, it opens to nothing.
pub(crate) fn shut_login(name: &Ident) -> String {
    format!(
        "ALTER ROLE {name} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL {}",
        Until::Past.literal()
    )
}

/// Takes the credential away.
pub(crate) fn scramble(name: &Ident) -> String {
    format!("ALTER ROLE {name} PASSWORD NULL")
}

/// Takes attributes away. Only those that are there: before 16 even naming SUPERUSER needs a superuser.
pub(crate) fn strip_attributes(name: &Ident, attributes: &[Attribute]) -> String {
    let words: Vec<&str> = attributes.iter().map(|attribute| attribute.without()).collect();
    format!("ALTER ROLE {name} {}", words.join(" "))
}

/// Makes `member` a member of one of our shared roles, as an order needs it: its rights, no `SET ROLE`.
pub(crate) fn join(role: &Ident, member: &Ident, version: Version) -> String {
    if version.memberships_have_options() {
        format!("GRANT {role} TO {member} WITH INHERIT TRUE, SET FALSE")
    } else {
        format!("GRANT {role} TO {member}")
    }
}

/// Makes `member` a member of [`MANAGED`].
pub(crate) fn join_managed(member: &Ident, version: Version) -> String {
    let managed = Ident::found(MANAGED);
    if version.memberships_have_options() {
        format!("GRANT {managed} TO {member} WITH INHERIT FALSE, SET FALSE")
    } else {
        format!("GRANT {managed} TO {member}")
    }
}

/// Ends a membership, with all that was given onward by it.
pub(crate) fn leave(role: &Ident, member: &Ident, grantor: Option<&Ident>, version: Version) -> String {
    match grantor {
        Some(grantor) if version.memberships_have_options() => {
            format!("REVOKE {role} FROM {member} GRANTED BY {grantor} CASCADE")
        }
        _ => format!("REVOKE {role} FROM {member} CASCADE"),
    }
}

/// Forgets an account's settings, overall or in one database.
pub(crate) fn reset_settings(name: &Ident, database: Option<&Ident>) -> String {
    match database {
        Some(database) => format!("ALTER ROLE {name} IN DATABASE {database} RESET ALL"),
        None => format!("ALTER ROLE {name} RESET ALL"),
    }
}

/// Fails unless the role of that OID has that name, and the comment where one is given; a superuser also
/// locks the row until the transaction ends, so that what was verified is what is acted on.
pub(crate) fn verify(oid: u32, name: &str, comment: Option<&str>, superuser: bool) -> String {
    let named = Literal::of(name);
    let commented = comment.map_or_else(String::new, |text| {
        format!(" AND shobj_description(r.oid, 'pg_authid') = {}", Literal::of(text))
    });
    if superuser {
        format!(
            "SELECT 1 / count(*) FROM (SELECT FROM pg_authid AS r WHERE r.oid = {oid} AND r.rolname = {named}\
             {commented} FOR UPDATE) AS account"
        )
    } else {
        format!(
            "SELECT 1 / count(*) FROM pg_roles AS r WHERE r.oid = {oid} AND r.rolname = {named}{commented}"
        )
    }
}

/// Fails unless the role of that OID is gone.
pub(crate) fn verify_gone(oid: u32) -> String {
    format!("SELECT 1 / (count(*) = 0)::int FROM pg_roles AS r WHERE r.oid = {oid}")
}

/// Locks an account's row without asking what it is; nothing is locked when it is not there.
pub(crate) fn lock_account(oid: u32, name: &str) -> String {
    format!(
        "SELECT FROM pg_authid AS r WHERE r.oid = {oid} OR r.rolname = {} ORDER BY r.oid FOR UPDATE",
        Literal::of(name)
    )
}

/// Lets one transaction at a time change the rights of shared roles. No grantee can take a superuser's lock, nor,
/// from 16 on, the one that changing a role's members takes (here it changes nothing); the advisory one can be held
/// by anybody, and only opening depends on it.
pub(crate) fn lock_shared(superuser: bool, version: Version) -> String {
    if superuser {
        format!("SELECT FROM pg_authid WHERE rolname = {} FOR UPDATE", Literal::of(MANAGED))
    } else if version.memberships_have_options() {
        format!("REVOKE {} FROM SESSION_USER GRANTED BY SESSION_USER", Ident::found(MANAGED))
    } else {
        "SELECT pg_advisory_xact_lock(hashtext('tidegate'), hashtext('shared roles'))".into()
    }
}

/// Ends every session of an account at once.
pub(crate) fn end_sessions(oid: u32) -> String {
    format!(
        "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) AS a \
         WHERE a.usesysid = {oid} AND a.pid <> pg_backend_pid()"
    )
}

/// Ends one session if it is the role's own: the server checks that the current role may.
pub(crate) fn end_session_as(name: &Ident, pid: i32) -> [String; 2] {
    [format!("SET LOCAL ROLE {name}"), format!("SELECT pg_terminate_backend({pid})")]
}

/// Makes an admin who is no superuser a member of one of our own roles, so that it can act in its place: it is
/// allowed to, as it made the role. To be taken back in the same transaction where that is possible.
pub(crate) fn take_on(role: &Ident, version: Version) -> String {
    if version.memberships_have_options() {
        format!("GRANT {role} TO SESSION_USER WITH INHERIT TRUE, SET TRUE")
    } else {
        format!("GRANT {role} TO SESSION_USER")
    }
}

/// Takes back what [`take_on`] gave.
pub(crate) fn let_go(role: &Ident, version: Version) -> String {
    if version.memberships_have_options() {
        format!("REVOKE {role} FROM SESSION_USER GRANTED BY SESSION_USER")
    } else {
        format!("REVOKE {role} FROM SESSION_USER")
    }
}

/// Becomes a role until [`BE_OURSELVES`], also outside of transactions.
pub(crate) fn become_role(name: &Ident) -> String {
    format!("SET ROLE {name}")
}

pub(crate) const BE_OURSELVES: &str = "RESET ROLE";

/// Lets the heir own things in a schema, until it has them.
pub(crate) fn let_own_in(schema: &Ident, heir: &Ident) -> String {
    format!("GRANT CREATE ON SCHEMA {schema} TO {heir}")
}

pub(crate) fn let_own_in_no_more(schema: &Ident, heir: &Ident) -> String {
    format!("REVOKE CREATE ON SCHEMA {schema} FROM {heir}")
}

pub(crate) fn act_as(name: &Ident) -> String {
    format!("SET LOCAL ROLE {name}")
}

pub(crate) fn rollback_prepared(transaction: &Literal) -> String {
    format!("ROLLBACK PREPARED {transaction}")
}

pub(crate) fn reassign(from: &Ident, heir: &Ident) -> String {
    format!("REASSIGN OWNED BY {from} TO {heir}")
}

pub(crate) fn drop_owned(name: &Ident) -> String {
    format!("DROP OWNED BY {name}")
}

/// Fails while the role still owns something in the current database that `DROP OWNED` would destroy.
pub(crate) fn verify_owns_nothing(oid: u32) -> String {
    format!(
        "SELECT 1 / (count(*) = 0)::int FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass \
         AND s.refobjid = {oid} AND s.deptype = 'o' \
         AND s.dbid IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())) \
         AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)"
    )
}

pub(crate) fn drop_role(name: &Ident) -> String {
    format!("DROP ROLE {name}")
}

/// What a role can be by itself, apart from its login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attribute {
    Superuser,
    CreateRole,
    CreateDb,
    Replication,
    BypassRls,
}

impl Attribute {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Superuser => "SUPERUSER",
            Self::CreateRole => "CREATEROLE",
            Self::CreateDb => "CREATEDB",
            Self::Replication => "REPLICATION",
            Self::BypassRls => "BYPASSRLS",
        }
    }

    const fn without(self) -> &'static str {
        match self {
            Self::Superuser => "NOSUPERUSER",
            Self::CreateRole => "NOCREATEROLE",
            Self::CreateDb => "NOCREATEDB",
            Self::Replication => "NOREPLICATION",
            Self::BypassRls => "NOBYPASSRLS",
        }
    }
}

#[cfg(test)]
mod tests;
