//! Rights that an account holds by itself: the statements that take them back, written by the server.

use crate::version::Version;

/// Returns the questions that together tell all that an account holds directly.
pub(crate) fn direct_rights(version: Version) -> &'static [&'static str] {
    if version.has_parameter_rights() { &[DIRECT_RIGHTS, PARAMETER_RIGHTS] } else { &[DIRECT_RIGHTS] }
}

/// Statements that take back what an account holds directly in this database, and who has to run each when
/// the object's owner did not give it: `$1` oid. What the account gave on goes with the grant option that it
/// gave it by. The server quotes the names.
const DIRECT_RIGHTS: &str = "
WITH held AS (
    SELECT s.* FROM pg_shdepend AS s
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND s.deptype = 'a'
        AND s.dbid IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
),
rights AS (
    SELECT format(CASE WHEN c.relkind = 'S' THEN 'SEQUENCE %I.%I' ELSE 'TABLE %I.%I' END, n.nspname, c.relname) AS subject,
        '' AS part, c.relowner AS owner, c.relacl AS acl
    FROM held AS h JOIN pg_class AS c ON h.classid = 'pg_class'::regclass AND h.objsubid = 0 AND c.oid = h.objid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    UNION ALL
    SELECT format('TABLE %I.%I', n.nspname, c.relname), format(' (%I)', t.attname), c.relowner, t.attacl
    FROM held AS h JOIN pg_class AS c ON h.classid = 'pg_class'::regclass AND c.oid = h.objid
    JOIN pg_attribute AS t ON t.attrelid = c.oid AND t.attnum = h.objsubid AND h.objsubid <> 0
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    UNION ALL
    SELECT format('SCHEMA %I', n.nspname), '', n.nspowner, n.nspacl
    FROM held AS h JOIN pg_namespace AS n ON h.classid = 'pg_namespace'::regclass AND n.oid = h.objid
    UNION ALL
    SELECT format('DATABASE %I', d.datname), '', d.datdba, d.datacl
    FROM held AS h JOIN pg_database AS d ON h.classid = 'pg_database'::regclass AND d.oid = h.objid
    UNION ALL
    SELECT format('TABLESPACE %I', t.spcname), '', t.spcowner, t.spcacl
    FROM held AS h JOIN pg_tablespace AS t ON h.classid = 'pg_tablespace'::regclass AND t.oid = h.objid
    UNION ALL
    SELECT CASE WHEN to_jsonb(p) ->> 'prokind' = 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure::text,
        '', p.proowner, p.proacl
    FROM held AS h JOIN pg_proc AS p ON h.classid = 'pg_proc'::regclass AND p.oid = h.objid
    UNION ALL
    SELECT format('TYPE %I.%I', n.nspname, t.typname), '', t.typowner, t.typacl
    FROM held AS h JOIN pg_type AS t ON h.classid = 'pg_type'::regclass AND t.oid = h.objid
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    UNION ALL
    SELECT format('LANGUAGE %I', l.lanname), '', l.lanowner, l.lanacl
    FROM held AS h JOIN pg_language AS l ON h.classid = 'pg_language'::regclass AND l.oid = h.objid
    UNION ALL
    SELECT format('FOREIGN DATA WRAPPER %I', w.fdwname), '', w.fdwowner, w.fdwacl
    FROM held AS h JOIN pg_foreign_data_wrapper AS w ON h.classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = h.objid
    UNION ALL
    SELECT format('FOREIGN SERVER %I', f.srvname), '', f.srvowner, f.srvacl
    FROM held AS h JOIN pg_foreign_server AS f ON h.classid = 'pg_foreign_server'::regclass AND f.oid = h.objid
    UNION ALL
    SELECT format('LARGE OBJECT %s', o.oid), '', o.lomowner, o.lomacl
    FROM held AS h JOIN pg_largeobject_metadata AS o ON h.classid = 'pg_largeobject'::regclass AND o.oid = h.objid
)
SELECT DISTINCT CASE WHEN a.grantor <> r.owner THEN g.rolname::text END,
    format('REVOKE ALL%s ON %s FROM %I CASCADE', r.part, r.subject, u.rolname)
FROM rights AS r CROSS JOIN aclexplode(r.acl) AS a JOIN pg_roles AS g ON g.oid = a.grantor
JOIN pg_roles AS u ON u.oid = a.grantee
WHERE a.grantee = $1 AND r.owner <> $1
UNION
SELECT NULL, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %I', o.rolname,
    coalesce(' IN SCHEMA ' || quote_ident(n.nspname), ''),
    CASE f.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
        WHEN 'T' THEN 'TYPES' WHEN 'L' THEN 'LARGE OBJECTS' ELSE 'SCHEMAS' END, u.rolname)
FROM held AS h JOIN pg_default_acl AS f ON h.classid = 'pg_default_acl'::regclass AND f.oid = h.objid
JOIN pg_roles AS o ON o.oid = f.defaclrole LEFT JOIN pg_namespace AS n ON n.oid = f.defaclnamespace
JOIN pg_roles AS u ON u.oid = $1";

/// The same for settings of the server, which can be granted from 15 on: `$1` oid.
const PARAMETER_RIGHTS: &str = "
SELECT DISTINCT CASE WHEN g.oid <> 10 THEN g.rolname::text END, format('REVOKE ALL ON PARAMETER %I FROM %I CASCADE', p.parname, u.rolname)
FROM pg_shdepend AS s JOIN pg_parameter_acl AS p ON p.oid = s.objid
CROSS JOIN aclexplode(p.paracl) AS a JOIN pg_roles AS g ON g.oid = a.grantor JOIN pg_roles AS u ON u.oid = $1
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND s.deptype = 'a'
    AND s.classid = 'pg_parameter_acl'::regclass AND a.grantee = $1";
