//! What the admin itself may do, and what kind of service this is.

/// What the role that logged in has: `CREATEROLE`, whether it inherits, `pg_signal_backend`, membership with the
/// right to give it on in the common role (NULL when there is none), the right to ask for the system, its name, and a
/// superuser that it is a member of without being one.
pub(crate) const REACH: &str = "
SELECT r.rolcreaterole, r.rolinherit,
    coalesce((SELECT pg_has_role(p.oid, 'USAGE') FROM pg_roles AS p WHERE p.rolname = 'pg_signal_backend'), false),
    (SELECT pg_has_role(m.oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles AS m WHERE m.rolname = 'tidegate_managed'),
    has_function_privilege('pg_control_system()', 'EXECUTE'), r.rolname::text,
    (SELECT min(s.rolname::text) FROM pg_roles AS s
        WHERE s.rolsuper AND NOT r.rolsuper AND pg_has_role(r.oid, s.oid, 'MEMBER'))
FROM pg_roles AS r WHERE r.rolname = session_user";

/// Whose things in this database we may not give rights on: owner, whether a superuser, and how many. What belongs to
/// extensions does not count, nor what accounts of ours made.
pub(crate) const STRANGERS: &str = "
SELECT r.rolname::text, r.rolsuper, count(*)
FROM (
    SELECT d.datdba AS oid FROM pg_database AS d WHERE d.datname = current_database()
    UNION ALL SELECT n.nspowner FROM pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL SELECT c.relowner FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
            AND e.deptype = 'e')
) AS o JOIN pg_roles AS r ON r.oid = o.oid
LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
WHERE r.rolname !~ '^pg_' AND coalesce(d.description, '') NOT LIKE 'tidegate:%' AND NOT pg_has_role(r.oid, 'USAGE')
GROUP BY 1, 2 ORDER BY 1 LIMIT 20";

/// What tells a managed service: roles, databases and functions of its own.
pub(crate) const SIGNS: &str = "
SELECT r.rolname::text FROM pg_roles AS r WHERE r.rolname IN ('rds_superuser', 'rdsadmin', 'cloudsqlsuperuser',
    'cloudsqladmin', 'alloydbsuperuser', 'alloydbadmin', 'azure_pg_admin', 'azuresu')
UNION ALL
SELECT d.datname::text FROM pg_database AS d WHERE d.datname IN ('rdsadmin', 'cloudsqladmin', 'alloydbadmin',
    'azure_maintenance', 'azure_sys')
UNION ALL
SELECT p.proname::text FROM pg_proc AS p WHERE p.proname = 'aurora_version'
    AND p.pronamespace = 'pg_catalog'::regnamespace AND p.pronargs = 0";

/// Whether the server is a standby, which takes no writes.
pub(crate) const STANDBY: &str = "SELECT pg_is_in_recovery()";
