//! Roles that accounts are members of.

/// How many of the shared roles are what they were when they were looked at: `$1` oid[], `$2` name[],
/// `$3` comment[]. None may have an attribute or be a member of anything, and the common one no right but on
/// what our own roles own.
pub(crate) const UNCHANGED: &str = "
SELECT count(*) FROM unnest($1::oid[], $2::text[], $3::text[]) AS w(oid, name, comment)
JOIN pg_roles AS r ON r.oid = w.oid AND r.rolname = w.name
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE coalesce(d.description, '') = w.comment
    AND NOT (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls OR r.rolcanlogin)
    AND NOT EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = r.oid)
    AND (r.rolname <> 'tidegate_managed' OR (SELECT true FROM pg_shdepend AS s
        WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.deptype = 'a'
            AND (SELECT true FROM pg_shdepend AS o
                LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = o.refobjid
                WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
                    AND o.refobjid <> s.refobjid
                    AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(o.refobjid) = 'tidegate_managed')
                LIMIT 1) IS NULL
        LIMIT 1) IS NULL)";

/// A shared role by name: `$1`.
pub(crate) const SHARED_ROLE: &str = "
SELECT r.oid, d.description FROM pg_roles AS r
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE r.rolname = $1";

/// Every role with a comment like our marks, accounts and roles that were given a login, too: oid, name, comment.
pub(crate) const SHARED_ROLES: &str = "
SELECT r.oid, r.rolname, d.description FROM pg_roles AS r
JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE d.description LIKE 'tidegate:%'
ORDER BY r.rolname";

/// Whether the common role can go: `$1` its name. How many members it has, and how many roles there are
/// with comments like our marks.
pub(crate) const COMMON_USE: &str = "
SELECT (SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS c ON c.oid = m.roleid
        JOIN pg_roles AS u ON u.oid = m.member WHERE c.rolname = $1 AND u.rolname <> session_user),
    (SELECT count(*) FROM pg_shdescription AS d WHERE d.classoid = 'pg_authid'::regclass
        AND d.description LIKE 'tidegate:%')";

/// Members of a role: `$1` oid.
pub(crate) const MEMBERS: &str = "
SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS u ON u.oid = m.member
WHERE m.roleid = $1 AND u.rolname <> session_user";

/// Whether a role has no attribute, membership or right: `$1` oid. What it owns does not count, nor rights on
/// what our own roles own: any account can give those.
pub(crate) const POWERLESS: &str = "
SELECT NOT (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls OR r.rolcanlogin)
    AND NOT EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = r.oid)
    AND NOT EXISTS (SELECT FROM pg_auth_members AS m JOIN pg_roles AS u ON u.oid = m.member
        WHERE m.roleid = r.oid AND NOT u.rolsuper AND u.rolname <> session_user)
    AND NOT EXISTS (SELECT FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass
        AND s.refobjid = r.oid AND s.deptype = 'a' AND (SELECT true FROM pg_shdepend AS o
            LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = o.refobjid
            WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
                AND o.refobjid <> s.refobjid
                AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(o.refobjid) = 'tidegate_managed')
            LIMIT 1) IS NULL)
FROM pg_roles AS r WHERE r.oid = $1";

/// A role by name, and why it may not be attached to: `$1` name. A role manages accounts or the server when
/// it, or one that it is a member of, has the attribute for it.
pub(crate) const ATTACHABLE: &str = "
WITH RECURSIVE reach(oid, admin) AS (
    SELECT r.oid, false FROM pg_roles AS r WHERE r.rolname = $1
    UNION
    SELECT m.roleid, m.admin_option FROM pg_auth_members AS m JOIN reach ON m.member = reach.oid
)
SELECT count(*),
    bool_or(x.admin OR r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
        OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
            'pg_signal_backend', 'pg_create_subscription',
            'rds_superuser', 'rds_replication', 'rds_password', 'cloudsqlsuperuser', 'alloydbsuperuser',
            'azure_pg_admin')),
    bool_or(r.rolname ~ '^pg_' AND r.rolname = $1),
    bool_or(coalesce(d.description, '') LIKE 'tidegate:%' OR r.rolname ~ '^tidegate_' OR r.rolname = session_user)
FROM reach AS x JOIN pg_roles AS r ON r.oid = x.oid
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid";
