//! Questions to the catalogue: fixed texts, what differs goes in as parameters. Sessions have
//! `search_path = pg_catalog`, so names mean the catalogue's own.
//!
//! Columns that only some versions have are read through `to_jsonb`, so that one text serves all.

mod accounts;
mod definition;
mod direct;
mod living;
mod reach;
mod resources;
mod shared;

pub(crate) use accounts::{
    ACCOUNT, ACCOUNTS, DEPENDING, GIVERS, LIVING, MEMBERSHIPS, ONWARD, OWNED_IN, SETTINGS, SURVEY,
};
pub(crate) use definition::{BEYOND, LACKING_IN_SCOPE, LACKING_ON_TABLE};
pub(crate) use direct::{DIRECT_RIGHTS, PARAMETER_RIGHTS};
pub(crate) use living::{END_SESSIONS, PREPARED, PREPARED_IN_THE_WAY};
pub(crate) use reach::{REACH, SIGNS, STANDBY, STRANGERS};
pub(crate) use resources::{DATABASES, MORE_TABLES, PUBLIC_TABLES, ROLES, SCHEMAS, TABLES};
pub(crate) use shared::{ATTACHABLE, COMMON_USE, MEMBERS, POWERLESS, SHARED_ROLE, SHARED_ROLES, UNCHANGED};
