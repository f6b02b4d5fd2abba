//! Questions to the catalogue: fixed texts, what differs goes in as parameters. Sessions have
//! `search_path = pg_catalog`, so names mean the catalogue's own.
//!
//! A plan is made once for a session, perhaps while the catalogue was small, and has to serve when it is large: what is
//! asked of each row is a `(SELECT true … LIMIT 1) IS NULL`, which is looked up by an index, and no `EXISTS`, which may
//! be answered by reading the whole catalogue first. Whose an object is, is asked by the object alone (only roles own),
//! so that no other index fits.
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
pub(crate) use resources::{DATABASES, MORE_SCHEMAS, MORE_TABLES, PUBLIC_TABLES, ROLES, SCHEMAS, TABLES};
pub(crate) use shared::{ATTACHABLE, COMMON_USE, MEMBERS, POWERLESS, SHARED_ROLE, SHARED_ROLES, UNCHANGED};
