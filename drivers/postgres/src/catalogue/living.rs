//! Sessions and prepared transactions, to be ended.

/// Ends sessions of one account: `$1` oid, `$2` the name that it should have. A role of that OID under
/// another name keeps its sessions and is told by its name. Sessions that are still starting are not yet
/// anybody's in the activity view; they show by their lock on their database.
pub(crate) const END_SESSIONS: &str = "
WITH account AS (SELECT r.rolname, r.rolsuper FROM pg_roles AS r WHERE r.oid = $1)
SELECT (SELECT rolname FROM account),
    (SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) AS a
        WHERE a.usesysid = $1 AND a.pid <> pg_backend_pid()
            AND coalesce((SELECT rolname = $2 FROM account), true)),
    (SELECT array_agg(DISTINCT l.pid) FROM pg_locks AS l
        WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.granted
            AND l.pid <> pg_backend_pid()
            AND NOT EXISTS (SELECT FROM pg_stat_get_activity(l.pid) AS a WHERE a.usesysid IS NOT NULL)
            AND NOT EXISTS (SELECT FROM pg_auth_members AS m JOIN pg_roles AS p ON p.oid = m.roleid
                WHERE m.member = $1 AND p.rolname <> 'tidegate_managed')
            AND (SELECT NOT rolsuper FROM account))";

/// Prepared transactions to roll back with an account: `$1` oid. Its own; those of our shared roles that
/// it is a member of (nobody logs in as those, so somebody set the role and prepared); and those that hold
/// its row locked under a role that it can be. Last, who has to roll it back where we are no superuser, and
/// whether we are a member of that role anyway.
pub(crate) const PREPARED: &str = "
SELECT p.gid, d.datname, coalesce(d.datallowconn, false), pg_get_userbyid(p.ownerid),
    coalesce(pg_has_role(p.ownerid, 'MEMBER'), false)
FROM pg_prepared_xact() AS p(transaction, gid, prepared, ownerid, dbid)
LEFT JOIN pg_database AS d ON d.oid = p.dbid
WHERE p.ownerid = $1
    OR EXISTS (SELECT FROM pg_auth_members AS m
        LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = m.roleid
        WHERE m.member = $1 AND m.roleid = p.ownerid
            AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(m.roleid) = 'tidegate_managed'))";

/// Prepared transactions that a session of ours waits for, if they are the account's: `$1` the session's
/// process, `$2` the account's oid. Owned by it, by a role that it can be, or by a role of ours. Only
/// a waiter tells this: what locked a row within a subtransaction shows nowhere else.
pub(crate) const PREPARED_IN_THE_WAY: &str = "
SELECT p.gid, d.datname, coalesce(d.datallowconn, false), pg_get_userbyid(p.ownerid),
    coalesce(pg_has_role(p.ownerid, 'MEMBER'), false)
FROM pg_locks AS w
JOIN pg_prepared_xact() AS p(transaction, gid, prepared, ownerid, dbid) ON p.transaction = w.transactionid
LEFT JOIN pg_database AS d ON d.oid = p.dbid
WHERE w.pid = $1 AND NOT w.granted AND w.locktype = 'transactionid'
    AND (p.ownerid = $2 OR pg_has_role($2, p.ownerid, 'MEMBER')
        OR EXISTS (SELECT FROM pg_shdescription AS c WHERE c.classoid = 'pg_authid'::regclass
            AND c.objoid = p.ownerid AND c.description LIKE 'tidegate:%'))";
