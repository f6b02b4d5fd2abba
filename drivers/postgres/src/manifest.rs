//! What this driver needs, offers and promises.

use driver::Manifest;
use driver::manifest::{
    CredentialForm, Expiry, ExpiryClass, Field, FieldFormat, MarkClass, PermissionType, ResidualVector,
    ResourceType, RightNeeded, SecretKey, Setup, SetupMode, Survival,
};
use driver::naming::{NameCase, NameLimits};
use model::{Ownership, ResidualKind};

use crate::quote::LONGEST_NAME;
use crate::scope;

/// The name of this driver in configuration.
pub(crate) const KIND: &str = "postgres";

pub(crate) static MANIFEST: Manifest = Manifest {
    kind: KIND,
    product: "PostgreSQL",
    also_serves: &[
        "Amazon RDS for PostgreSQL",
        "Amazon Aurora PostgreSQL",
        "Cloud SQL for PostgreSQL",
        "AlloyDB for PostgreSQL",
        "Azure Database for PostgreSQL",
    ],
    summary: "Accounts on a PostgreSQL server, version 10 or later, with access to databases, schemas, tables and roles.",
    fields: FIELDS,
    secret_keys: &[
        SecretKey {
            key: "username",
            label: "User name",
            help: "The admin role that Tidegate logs in as.",
            required: true,
        },
        SecretKey {
            key: "password",
            label: "Password",
            help: "The admin role's password. Leave it out only where the server logs the role in by its certificate.",
            required: false,
        },
        SecretKey {
            key: "client_certificate",
            label: "Client certificate",
            help: "The certificate that the server asks the admin for, in PEM form, with those that lead to its authority.",
            required: false,
        },
        SecretKey {
            key: "client_key",
            label: "Client key",
            help: "The certificate's private key in PEM form, not encrypted.",
            required: false,
        },
    ],
    resources: RESOURCES,
    ownership: Ownership::Owned,
    mark: MarkClass::Full,
    login_expiry: Expiry {
        class: ExpiryClass::Exact,
        note: "VALID UNTIL stops new password logins to the second; logins by certificate, peer or LDAP are not stopped by it.",
    },
    session_expiry: Expiry {
        class: ExpiryClass::None,
        note: "An open session goes on after VALID UNTIL; set idle_session_timeout (14 or later) to end idle ones.",
    },
    rights_survive_in_sessions: Survival::Below { major: 16 },
    credential: CredentialForm::Verifier { kind: "SCRAM-SHA-256" },
    shutting_scrambles: true,
    residuals: RESIDUALS,
    rights: RIGHTS,
    names: NameLimits { max_bytes: LONGEST_NAME, case: NameCase::Lower },
    setup: Setup {
        language: "sql",
        comment: "--",
        usage: &[
            "Run it with psql 11 or later as a superuser, in any database of the server:",
            "    psql -X -d postgres -f THIS_FILE",
            "The role is tidegate_connector unless you add: -v username=NAME. A password is asked for when it is set,",
            "and only a verifier goes to the server. Mode `least` gives the role less than mode `superuser`.",
        ],
        begin: &[
            "\\set ON_ERROR_STOP on",
            "\\if :{?username}",
            "\\else",
            "    \\set username tidegate_connector",
            "\\endif",
        ],
        make: &[
            "CREATE ROLE :\"username\" LOGIN;",
            "SET password_encryption = 'scram-sha-256';",
            "\\password :\"username\"",
        ],
        before_removal: STILL_OPEN,
        remove: &[LEFT_ARE, LEFT, "DROP ROLE :\"username\";"],
        modes: MODES,
    },
};

/// The usual mode, in which nothing is left out.
pub(crate) const SUPERUSER: &str = "superuser";
/// The mode for those who do not give that away.
pub(crate) const LEAST: &str = "least";

/// Stops a removal while accounts can still log in: without the admin nobody would close them before the server's own
/// expiry does. Roles that make roles are admins, of other connectors.
pub(crate) const STILL_OPEN: &[&str] = &[
    "SELECT count(*) > 0 AS still_open FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper",
    "\\gset",
    "\\if :{?anyway}",
    "\\elif :still_open",
    "    SELECT rolname AS can_still_log_in FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper ORDER BY rolname;",
    "    DO $tidegate$ BEGIN RAISE EXCEPTION USING MESSAGE = 'nothing was removed: accounts of Tidegate can still log in, and without the admin nobody closes them', HINT = 'run tidegatectl retire INTEGRATION --yes first and wait until it is retired; add -v anyway=1 if they are another connector''s'; END $tidegate$;",
    "\\endif",
];

/// What a removal says before it tells what is left.
pub(crate) const LEFT_ARE: &str = "\\echo 'Roles of Tidegate that are still here; tidegatectl retire INTEGRATION --yes removes them, and goes first:'";
/// Tells the accounts, permission roles and the common role that are still on the server.
pub(crate) const LEFT: &str = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' ORDER BY rolname;";

const MODES: &[SetupMode] = &[
    SetupMode {
        name: SUPERUSER,
        sentence: "The admin is a superuser: everything works, and everything can be done with it.",
        cannot: &[],
    },
    SetupMode {
        name: LEAST,
        sentence: "The admin makes roles, ends sessions and has the rights of the owners that you name. Narrow from 16 on; up to 15 CREATEROLE is close to SUPERUSER.",
        cannot: LEAST_CANNOT,
    },
];

const LEAST_CANNOT: &[&str] = &[
    "What a role makes later is not covered by access to its schema or database unless you made the admin a member of that role (--owner).",
    "An account that owns something in a schema of somebody whom the admin is no member of is not deleted: that cannot be handed to the heir, so it is kept shut and reported.",
    "What a superuser adds to an account by hand (CREATEDB, memberships that others gave) is seen and reported, and not taken; the login is shut all the same.",
    "Members are made only of roles that you give it with ADMIN OPTION (from 16 on); rights on what superusers own only with GRANT OPTION.",
    "What an account makes in a schema is not given to other accounts that have access there.",
    "An account's row is not locked before it is acted on: it is verified before and after, in one transaction.",
    "Up to 15, whoever can log in to a database can hold up openings there, not closings, with an advisory lock.",
];

const FIELDS: &[Field] = &[
    Field {
        key: "hostname",
        label: "Hostname",
        help: "Name or address of the server itself, not of a pooler: sessions behind a pooler cannot be told apart.",
        default: None,
        required: true,
        format: FieldFormat::Host,
    },
    Field {
        key: "port",
        label: "Port",
        help: "TCP port of the server.",
        default: Some("5432"),
        required: false,
        format: FieldFormat::Port,
    },
    Field {
        key: "dbname",
        label: "Database Name",
        help: "The database that Tidegate logs in to first. Accounts are shared by all databases, so any will do that always exists.",
        default: Some("postgres"),
        required: false,
        format: FieldFormat::Text { max_bytes: LONGEST_NAME },
    },
    Field {
        key: "sslmode",
        label: "SSL Mode",
        help: "How the connection is protected. Only verify-full keeps out somebody who answers in the server's place.",
        default: Some("prefer"),
        required: false,
        format: FieldFormat::Choice {
            allowed: &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        },
    },
    Field {
        key: "ca_certificates",
        label: "CA certificates",
        help: "Roots for verify-ca and verify-full; empty means those of the system on which the agent runs.",
        default: None,
        required: false,
        format: FieldFormat::Pem,
    },
    Field {
        key: "connect_timeout",
        label: "Connect timeout",
        help: "How long a connection may take, from 1s to 60s; raise it for a server far away.",
        default: Some("10s"),
        required: false,
        format: FieldFormat::Duration,
    },
    Field {
        key: "sessions_per_account",
        label: "Sessions per account",
        help: "How many sessions a grantee may have at once (CONNECTION LIMIT).",
        default: Some("10"),
        required: false,
        format: FieldFormat::Whole { least: 1, most: 10_000 },
    },
];

const LEVELS_ON_DATA: &[PermissionType] = &[
    PermissionType {
        name: scope::READ_ONLY,
        sentence: "Reads all tables, views and sequences in the scope, also those made later by the roles that make them now.",
        manages_accounts: false,
    },
    PermissionType {
        name: scope::READ_WRITE,
        sentence: "Reads, and inserts, updates and deletes rows, and draws numbers from sequences.",
        manages_accounts: false,
    },
    PermissionType {
        name: scope::ADMIN,
        sentence: "All privileges in the scope, also to create objects and triggers; cannot alter or drop what others own.",
        manages_accounts: false,
    },
];

const RESOURCES: &[ResourceType] = &[
    ResourceType {
        kind: scope::DATABASE,
        label: "Database",
        path: &["database"],
        permissions: LEVELS_ON_DATA,
    },
    ResourceType {
        kind: scope::SCHEMA,
        label: "Schema",
        path: &["database", "schema"],
        permissions: LEVELS_ON_DATA,
    },
    ResourceType {
        kind: scope::TABLE,
        label: "Table or view",
        path: &["database", "schema", "table"],
        permissions: &[
            PermissionType {
                name: scope::READ_ONLY,
                sentence: "Reads this table, view, materialized view, partitioned or foreign table.",
                manages_accounts: false,
            },
            PermissionType {
                name: scope::READ_WRITE,
                sentence: "Reads it, inserts, updates and deletes its rows, and draws numbers from its own sequences.",
                manages_accounts: false,
            },
            PermissionType {
                name: scope::ADMIN,
                sentence: "All privileges on it and its own sequences, also to truncate and to add triggers; cannot alter or drop it.",
                manages_accounts: false,
            },
        ],
    },
    ResourceType {
        kind: scope::ROLE,
        label: "Role",
        path: &["role"],
        permissions: &[PermissionType {
            name: scope::ATTACH,
            sentence: "Has the rights of this role; roles that manage accounts or the server are refused.",
            manages_accounts: false,
        }],
    },
];

const RESIDUALS: &[ResidualVector] = &[
    ResidualVector {
        kind: ResidualKind::Session,
        what: "A session that the server could not end within five seconds.",
        observed: true,
        remedy: "Closing goes on by itself; restart the server if a session never ends.",
    },
    ResidualVector {
        kind: ResidualKind::PreparedTransaction,
        what: "A prepared transaction in a database that cannot be connected to.",
        observed: true,
        remedy: "ROLLBACK PREPARED in that database.",
    },
    ResidualVector {
        kind: ResidualKind::OwnedObjects,
        what: "Tables, functions and other objects that the account made; they stay its own until it is deleted, then a powerless heir's.",
        observed: true,
        remedy: "Look at them before the account is deleted; afterwards at those of the heir.",
    },
    ResidualVector {
        kind: ResidualKind::OnwardGrant,
        what: "Memberships that the account gave to other roles, or other roles' membership in it.",
        observed: true,
        remedy: "Closing takes them back; what remains is named.",
    },
    ResidualVector {
        kind: ResidualKind::Other,
        what: "Triggers and rules that an ADMIN grantee put on tables of others: they run with the rights of whoever writes there.",
        observed: false,
        remedy: "Give ADMIN only to people who may change the table's logic; review triggers whose functions the account or the heir owns.",
    },
    ResidualVector {
        kind: ResidualKind::PublicRights,
        what: "What PUBLIC may do is not the account's; no login is left to use it after a close.",
        observed: false,
        remedy: "`check` names databases where PUBLIC has rights on tables.",
    },
];

const RIGHTS: &[RightNeeded] = &[RightNeeded {
    name: "SUPERUSER",
    why: "creates accounts, gives rights on objects of every owner, ends sessions, hands over what accounts own",
    give: "ALTER ROLE :\"username\" SUPERUSER;",
    take: "ALTER ROLE :\"username\" NOSUPERUSER;",
    required: true,
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_does_not_contradict_itself() {
        assert_eq!(MANIFEST.contradictions(), Vec::<String>::new());
    }

    #[test]
    fn the_scripts_quote_what_people_fill_in() {
        let script = MANIFEST.setup_script();
        assert!(script.contains("CREATE ROLE :\"username\" LOGIN;"), "{script}");
        assert!(script.contains("ALTER ROLE :\"username\" SUPERUSER;"), "{script}");
        assert!(MANIFEST.removal_script().ends_with("DROP ROLE :\"username\";\n"));
    }
}
