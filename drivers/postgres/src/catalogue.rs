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
    ACCOUNT, ACCOUNTS, DEPENDING, GIVERS, LENT, LIVING, MEMBERSHIPS, ONWARD, OWNED_IN, SETTINGS, SURVEY,
};
pub(crate) use definition::{BEYOND, LACKING_IN_SCOPE, LACKING_ON_TABLE};
pub(crate) use direct::direct_rights;
pub(crate) use living::{END_SESSIONS, PREPARED, PREPARED_IN_THE_WAY};
pub(crate) use reach::{REACH, SIGNS, STANDBY, STRANGERS};
pub(crate) use resources::{DATABASES, MORE_SCHEMAS, MORE_TABLES, PUBLIC_TABLES, ROLES, SCHEMAS, TABLES};
pub(crate) use shared::{ATTACHABLE, COMMON_USE, MEMBERS, POWERLESS, SHARED_ROLE, SHARED_ROLES, UNCHANGED};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    /// What servers before these versions do not know, of the catalogue and of the language.
    const LATER: [(&str, u32); 18] = [
        ("prokind", 11),
        ("conparentid", 11),
        ("starts_with(", 11),
        ("AS MATERIALIZED", 12),
        ("AS NOT MATERIALIZED", 12),
        ("attgenerated", 12),
        ("gen_random_uuid", 13),
        ("leader_pid", 13),
        ("query_id", 14),
        ("pg_database_owner", 14),
        ("pg_read_all_data", 14),
        ("date_bin(", 14),
        ("pg_parameter_acl", 15),
        ("datlocprovider", 15),
        ("inherit_option", 16),
        ("set_option", 16),
        ("any_value(", 16),
        ("pg_maintain", 17),
    ];

    /// Fixed texts serve all versions from 10 on: what only some have is read as JSON, in which it may be missing.
    #[test]
    fn questions_ask_the_oldest_server_for_nothing_that_it_does_not_know() {
        let oldest = direct_rights(Version::OLDEST);
        let questions = [
            ACCOUNT,
            ACCOUNTS,
            DEPENDING,
            GIVERS,
            LENT,
            LIVING,
            MEMBERSHIPS,
            ONWARD,
            OWNED_IN,
            SETTINGS,
            SURVEY,
            BEYOND,
            LACKING_IN_SCOPE,
            LACKING_ON_TABLE,
            END_SESSIONS,
            PREPARED,
            PREPARED_IN_THE_WAY,
            REACH,
            SIGNS,
            STANDBY,
            STRANGERS,
            DATABASES,
            MORE_SCHEMAS,
            MORE_TABLES,
            PUBLIC_TABLES,
            ROLES,
            SCHEMAS,
            TABLES,
            ATTACHABLE,
            COMMON_USE,
            MEMBERS,
            POWERLESS,
            SHARED_ROLE,
            SHARED_ROLES,
            UNCHANGED,
        ];
        for question in questions.iter().chain(oldest) {
            for (word, first) in LATER {
                let as_json = question.matches(&format!("->> '{word}'")).count();
                assert_eq!(
                    question.matches(word).count(),
                    as_json,
                    "{word} is known from {first} on: {question}"
                );
            }
        }
        let asked = direct_rights(Version(150_000)).concat();
        assert!(
            asked.contains("pg_parameter_acl") && asked.contains("->> 'prokind'"),
            "the words are those that are used"
        );
        assert!(MEMBERSHIPS.contains("->> 'set_option'"));
    }
}
