//! Accounts: what they are, hold, own and have given on.

/// Accounts by OID or by name: `$1` oid, `$2` name. One row without an OID when there is none, so that the
/// server's time always comes.
pub(crate) const ACCOUNT: &str = "
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8, r.*
FROM (SELECT 1) AS always LEFT JOIN (
    SELECT r.oid, r.rolname, r.rolcanlogin,
        CASE WHEN r.rolvaliduntil = 'infinity' THEN NULL WHEN r.rolvaliduntil = '-infinity' THEN 0
            ELSE (extract(epoch FROM r.rolvaliduntil) * 1000)::int8 END,
        d.description, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
    FROM pg_roles AS r
    LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
    WHERE r.oid = $1 OR r.rolname = $2
) AS r ON true";

/// The same by many OIDs: `$1` oid[].
pub(crate) const ACCOUNTS: &str = "
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8, r.oid, r.rolname, r.rolcanlogin,
    CASE WHEN r.rolvaliduntil = 'infinity' THEN NULL WHEN r.rolvaliduntil = '-infinity' THEN 0
        ELSE (extract(epoch FROM r.rolvaliduntil) * 1000)::int8 END,
    d.description, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
FROM pg_roles AS r
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE r.oid = ANY ($1::oid[])";

/// What accounts are members of: `$1` oid[]. The last column says that the common role, which is to give
/// nothing, gives something.
pub(crate) const MEMBERSHIPS: &str = "
SELECT m.member, m.roleid, pg_get_userbyid(m.roleid), m.admin_option,
    coalesce((to_jsonb(m) ->> 'inherit_option')::bool, true),
    coalesce((to_jsonb(m) ->> 'set_option')::bool, true),
    pg_get_userbyid(m.grantor), d.description,
    (SELECT true FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = m.roleid
        AND s.deptype = 'o' AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
        LIMIT 1) IS NOT NULL,
    pg_get_userbyid(m.roleid) = 'tidegate_managed' AND (
        (SELECT true FROM pg_roles AS p WHERE p.oid = m.roleid AND (p.rolsuper OR p.rolcreaterole
            OR p.rolcreatedb OR p.rolreplication OR p.rolbypassrls)) IS NOT NULL
        OR (SELECT true FROM pg_auth_members AS n WHERE n.member = m.roleid LIMIT 1) IS NOT NULL
        OR (SELECT true FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass
            AND s.refobjid = m.roleid AND s.deptype = 'a' AND (SELECT true FROM pg_shdepend AS o
                LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = o.refobjid
                WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
                    AND o.refobjid <> s.refobjid
                    AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(o.refobjid) = 'tidegate_managed')
                LIMIT 1) IS NULL
            LIMIT 1) IS NOT NULL)
FROM pg_auth_members AS m
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = m.roleid
WHERE m.member = ANY ($1::oid[])
ORDER BY 1, 3, 7";

/// Memberships that accounts gave, and memberships in them: `$1` oid[], `$2` our own oid. What they gave
/// is looked for only once their login is shut: before 16 it takes a reading of all memberships.
pub(crate) const ONWARD: &str = "
SELECT m.roleid, pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), pg_get_userbyid(m.grantor)
FROM pg_auth_members AS m
WHERE m.roleid = ANY ($1::oid[]) AND m.member <> $2
UNION ALL
SELECT m.grantor, pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), pg_get_userbyid(m.grantor)
FROM pg_auth_members AS m
WHERE m.grantor = ANY ($1::oid[]) AND m.member <> ALL ($1::oid[]) AND m.roleid <> ALL ($1::oid[])
    AND EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = ANY ($1::oid[]) AND NOT r.rolcanlogin)";

/// Memberships in accounts that an admin who is no superuser lent itself, to act in their place, and has not given back:
/// `$1` oid[], `$2` our own oid. The row by which it may administer what it made is another, and opens nothing.
pub(crate) const LENT: &str = "
SELECT m.roleid, pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), pg_get_userbyid(m.grantor)
FROM pg_auth_members AS m
WHERE m.roleid = ANY ($1::oid[]) AND m.member = $2 AND m.grantor = $2
    AND (coalesce((to_jsonb(m) ->> 'inherit_option')::bool, true) OR coalesce((to_jsonb(m) ->> 'set_option')::bool, true))";

/// What depends on accounts, in all databases: `$1` oid[]. `a` is a right, `o` an owned object, `d` defaults
/// and the like of its own; `x` is a right on an object of another of our roles: any account can give such
/// rights on what it made, so they say nothing about whom they were given to.
pub(crate) const DEPENDING: &str = "
SELECT s.refobjid, s.dbid, d.datname, coalesce(d.datallowconn, true),
    CASE WHEN s.deptype = 'o' AND s.classid IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
        THEN 'd'
        WHEN s.deptype = 'a' AND (SELECT true FROM pg_shdepend AS o
            LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = o.refobjid
            WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
                AND o.refobjid <> s.refobjid
                AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(o.refobjid) = 'tidegate_managed')
            LIMIT 1) IS NOT NULL
        THEN 'x' ELSE s.deptype::text END,
    s.classid::regclass::text, count(*)
FROM pg_shdepend AS s LEFT JOIN pg_database AS d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ANY ($1::oid[])
    AND s.classid <> 'pg_auth_members'::regclass
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 5, 6";

/// Schemas of this database in which a role owns something: `$1` oid.
pub(crate) const OWNED_IN: &str = "
SELECT DISTINCT n.nspname::text FROM pg_shdepend AS s
CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS i
JOIN pg_namespace AS n ON n.nspname = i.schema
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND s.deptype = 'o'
    AND s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND n.nspname !~ '^pg_temp_'";

/// Accounts of ours on whose objects in this database a role has rights: `$1` oid. Only in their place can an
/// admin who is no superuser take those back.
pub(crate) const GIVERS: &str = "
SELECT DISTINCT r.rolname::text FROM pg_shdepend AS s
JOIN pg_shdepend AS o ON o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
    AND o.refobjid <> s.refobjid
JOIN pg_roles AS r ON r.oid = o.refobjid
JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid AND d.description LIKE 'tidegate:%'
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND s.deptype = 'a'
    AND s.dbid IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))";

/// Sessions and prepared transactions of accounts: `$1` oid[].
pub(crate) const LIVING: &str = "
SELECT a.usesysid, 's', NULL::text, NULL::text, count(*)
FROM pg_stat_get_activity(NULL) AS a
WHERE a.usesysid = ANY ($1::oid[]) AND a.pid <> pg_backend_pid()
GROUP BY a.usesysid
UNION ALL
SELECT p.ownerid, 'p', p.gid, d.datname, 1
FROM pg_prepared_xact() AS p(transaction, gid, prepared, ownerid, dbid)
LEFT JOIN pg_database AS d ON d.oid = p.dbid
WHERE p.ownerid = ANY ($1::oid[])";

/// Settings of an account, overall and by database: `$1` oid.
pub(crate) const SETTINGS: &str = "
SELECT d.datname FROM pg_db_role_setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
WHERE s.setrole = $1 AND (s.setdatabase = 0 OR d.oid IS NOT NULL)";

/// Roles to look at in a survey, page by page: `$1` the last OID seen, `$2` how many. Roles with a comment
/// like our marks, and members of the common role; shared roles are left out as far as they can be told by
/// not being able to log in and having no limit of sessions, which every account has.
pub(crate) const SURVEY: &str = "
SELECT r.oid FROM pg_roles AS r
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE r.oid > $1 AND r.rolname <> 'tidegate_managed' AND r.rolname <> session_user
    AND (d.description LIKE 'tidegate:%' AND (r.rolcanlogin OR r.rolconnlimit <> -1)
        OR EXISTS (SELECT FROM pg_auth_members AS m JOIN pg_roles AS c ON c.oid = m.roleid
            WHERE m.member = r.oid AND c.rolname = 'tidegate_managed'))
ORDER BY r.oid LIMIT $2";
