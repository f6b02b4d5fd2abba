//! What the target itself says of an account, read by its superuser and not by the product.

use std::time::Duration;

use anyhow::Context as _;

use super::World;
use crate::{clock, shop};

/// The role that only says whose an account is: it has no right, and is in no role that has one.
const POWERLESS: &str = "exists (
    select from pg_roles common where common.oid = m.roleid and common.rolname = 'tidegate_managed'
        and not (common.rolcanlogin or common.rolsuper or common.rolcreaterole or common.rolcreatedb or common.rolreplication or common.rolbypassrls)
        and not exists (select from pg_auth_members above where above.member = common.oid)
        and not exists (select from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = common.oid
            and d.classid <> 'pg_auth_members'::regclass))";

/// An account as the target has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub can_login: bool,
    /// Roles that it is in, but for the powerless one of all accounts.
    pub memberships: u64,
    pub sessions: u64,
    pub prepared: u64,
    /// Objects and rights, in all databases, that name the account as owner or grantee; memberships are counted above.
    pub dependencies: u64,
}

impl Standing {
    /// Whether nothing of an access is left: it cannot log in, is in no role, has no session and no right.
    pub fn is_shut(&self) -> bool {
        *self == Self::default()
    }
}

impl World {
    /// Reads an account; none when the target does not have it.
    pub fn read_back(&self, account: &str) -> anyhow::Result<Option<Standing>> {
        let name = account.replace('\'', "''");
        let query = format!(
            "select r.rolcanlogin::int,
                    (select count(*) from pg_auth_members m where m.member = r.oid and not {POWERLESS}),
                    (select count(*) from pg_stat_activity a where a.usesysid = r.oid),
                    (select count(*) from pg_prepared_xacts p where p.owner = r.rolname),
                    (select count(*) from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid
                        and d.classid <> 'pg_auth_members'::regclass)
             from pg_roles r where r.rolname = '{name}'"
        );
        let rows = tokio::task::block_in_place(|| self.target.psql("postgres", &query))?;
        let Some(row) = rows.lines().next() else { return Ok(None) };
        let numbers: Vec<u64> = row
            .split('|')
            .map(|field| field.parse().with_context(|| format!("read a number in {row:?}")))
            .collect::<anyhow::Result<_>>()?;
        let &[login, memberships, sessions, prepared, dependencies] = numbers.as_slice() else {
            anyhow::bail!("the target answered {row:?}");
        };
        Ok(Some(Standing { can_login: login != 0, memberships, sessions, prepared, dependencies }))
    }

    /// The accounts and shared roles in whose place the agent could act right now, as a member of them; the right to make
    /// others members of what it made is none of these.
    pub fn acts_as(&self) -> anyhow::Result<Vec<String>> {
        let query = format!(
            "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
             where u.rolname = '{}' and r.rolname ~ '^tidegate_'
                 and (coalesce((to_jsonb(m) ->> 'inherit_option')::bool, true)
                     or coalesce((to_jsonb(m) ->> 'set_option')::bool, true))",
            shop::ADMIN
        );
        let rows = tokio::task::block_in_place(|| self.target.psql("postgres", &query))?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    /// Waits until an account is as it should be, and gives what was read.
    pub async fn wait_read_back(
        &self,
        account: &str,
        what: &str,
        limit: Duration,
        is_so: impl Fn(Option<&Standing>) -> bool,
    ) -> anyhow::Result<Option<Standing>> {
        let mut last = None;
        let seen = clock::until(what, limit, async || {
            let read = self.read_back(account)?;
            last.clone_from(&read);
            Ok(is_so(read.as_ref()).then_some(read))
        })
        .await;
        seen.with_context(|| format!("the target has {last:?}"))
    }

    /// Everybody who can log in at the target and could not before the story, by name.
    pub fn accounts(&self) -> anyhow::Result<Vec<String>> {
        let query = "select rolname from pg_roles where rolcanlogin order by 1";
        let rows = tokio::task::block_in_place(|| self.target.psql("postgres", query))?;
        let own = [self.target.superuser(), shop::ADMIN];
        Ok(rows.lines().filter(|name| !own.contains(name)).map(str::to_owned).collect())
    }
}
