//! The rights of an admin that is no superuser, one by one: what each is for, and the statements that give and take it.
//!
//! The set-up script gives them, `check` names those that are missing, in the same words. What a mode cannot do
//! is in the manifest.

use std::fmt::Display;

use crate::quote::Ident;
use crate::statements::MANAGED;
use crate::version::Version;

/// Who may end the sessions of everybody who is no superuser.
pub(crate) const SIGNAL: &str = "pg_signal_backend";

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// To make roles.
    CreateRole,
    /// To have the rights of the roles that it is a member of.
    Inherit,
    /// To end sessions.
    Signal,
    /// To make accounts members of the common role, when somebody else made it.
    Common,
    /// To give rights on what a role owns and will make.
    Owner(Ident),
    /// To make accounts members of a role of the target's owner.
    Attach(Ident),
    /// To connect to a database.
    Connect(Ident),
    /// To let others connect to a database of a superuser.
    ConnectOn(Ident),
    /// To read which system this is.
    Identity,
}

impl Right {
    /// Returns what cannot be done without it.
    pub(crate) const fn why(&self) -> &'static str {
        match self {
            Self::CreateRole => "makes, opens and shuts accounts",
            Self::Inherit => "has the rights of the owners that it is a member of",
            Self::Signal => {
                "ends the sessions of accounts; it reaches those of everybody who is no superuser"
            }
            Self::Common => "makes accounts members of the common role, which somebody else made",
            Self::Owner(_) => "gives rights on what this role owns, and on what it will make",
            Self::Attach(_) => "makes accounts members of this role",
            Self::Connect(_) => "connects to this database",
            Self::ConnectOn(_) => "lets accounts connect to this database",
            Self::Identity => {
                "tells this system from another at the same address; to be given in each database"
            }
        }
    }

    /// Writes the statement that gives it to an admin.
    pub(crate) fn give(&self, admin: &dyn Display, version: Version) -> String {
        let options = version.memberships_have_options();
        let rights_of = if options { " WITH INHERIT TRUE, SET FALSE" } else { "" };
        let giving_on =
            if options { " WITH ADMIN TRUE, INHERIT FALSE, SET FALSE" } else { " WITH ADMIN OPTION" };
        match self {
            Self::CreateRole => format!("ALTER ROLE {admin} CREATEROLE"),
            Self::Inherit => format!("ALTER ROLE {admin} INHERIT"),
            Self::Signal => format!("GRANT {SIGNAL} TO {admin}{rights_of}"),
            Self::Common => format!("GRANT {MANAGED} TO {admin}{giving_on}"),
            Self::Owner(owner) => format!("GRANT {owner} TO {admin}{rights_of}"),
            Self::Attach(role) => format!("GRANT {role} TO {admin}{giving_on}"),
            Self::Connect(database) => format!("GRANT CONNECT ON DATABASE {database} TO {admin}"),
            Self::ConnectOn(database) => {
                format!("GRANT CONNECT ON DATABASE {database} TO {admin} WITH GRANT OPTION")
            }
            Self::Identity => format!("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {admin}"),
        }
    }

    /// Writes the statement that takes a membership back.
    pub(crate) fn take(&self, admin: &dyn Display) -> Option<String> {
        match self {
            Self::Signal => Some(format!("REVOKE {SIGNAL} FROM {admin}")),
            Self::Common => Some(format!("REVOKE {MANAGED} FROM {admin}")),
            Self::Owner(role) | Self::Attach(role) => Some(format!("REVOKE {role} FROM {admin}")),
            // Attributes go with the role.
            Self::CreateRole | Self::Inherit => None,
            Self::Connect(_) | Self::ConnectOn(_) | Self::Identity => None,
        }
    }

    /// Returns what people call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::CreateRole => "CREATEROLE".into(),
            Self::Inherit => "INHERIT".into(),
            Self::Signal => format!("membership in {SIGNAL}"),
            Self::Common => format!("ADMIN OPTION on {MANAGED}"),
            Self::Owner(owner) => format!("membership in {owner}"),
            Self::Attach(role) => format!("ADMIN OPTION on {role}"),
            Self::Connect(database) => format!("CONNECT on {database}"),
            Self::ConnectOn(database) => format!("CONNECT on {database} WITH GRANT OPTION"),
            Self::Identity => "EXECUTE on pg_control_system()".into(),
        }
    }
}
