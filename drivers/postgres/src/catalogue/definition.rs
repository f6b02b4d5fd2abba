//! Permission roles against their definition: what they have beyond it, and what they lack.

/// What a permission role has beyond its definition, in words: `$1` role name; `$2` schema, `$3` table of
/// its scope or NULL; privileges `$4` on the database, `$5` schemas, `$6` tables, `$7` sequences, `$8`
/// routines. Rights in other databases are beyond, whatever they are, but rights on objects of our own roles
/// are not: any account can give those. Objects that it owns are told by `o`, memberships in accounts of ours
/// by `m` and their name; what an account can bring about comes last, so that it hides nothing.
pub(crate) const BEYOND: &str = "
WITH role AS (SELECT r.* FROM pg_roles AS r WHERE r.rolname = $1),
here AS (SELECT d.* FROM pg_database AS d WHERE d.datname = current_database()),
held AS (
    SELECT s.* FROM pg_shdepend AS s
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM role)
        AND s.classid <> 'pg_auth_members'::regclass
        AND NOT (s.deptype = 'o' AND s.classid IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass))
        AND NOT (s.deptype = 'a' AND (SELECT true FROM pg_shdepend AS o
            LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = o.refobjid
            WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
                AND o.refobjid <> s.refobjid
                AND (c.description LIKE 'tidegate:%' OR pg_get_userbyid(o.refobjid) = 'tidegate_managed')
            LIMIT 1) IS NOT NULL)
)
SELECT b.kind, b.what, b.name FROM (
    SELECT 'a' AS kind, 'it has an attribute' AS what, NULL::text AS name FROM role
    WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolcanlogin
    UNION ALL
    SELECT CASE WHEN c.description LIKE 'tidegate:%' THEN 'm' ELSE 'a' END,
        'it is a member of ' || quote_ident(r.rolname), r.rolname::text
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid
    LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = r.oid
    WHERE m.member = (SELECT oid FROM role)
    UNION ALL
    SELECT CASE WHEN h.deptype = 'o' THEN 'o' ELSE 'a' END,
        CASE WHEN h.deptype = 'o' THEN 'it owns an object of ' ELSE 'it has a right on an object of ' END
            || h.classid::regclass::text
            || coalesce(' in database ' || (SELECT quote_ident(d.datname) FROM pg_database AS d WHERE d.oid = h.dbid), ''), NULL
    FROM held AS h
    WHERE h.deptype <> 'a' OR h.objsubid <> 0
        OR NOT (h.dbid = (SELECT oid FROM here)
            OR h.dbid = 0 AND h.classid = 'pg_database'::regclass AND h.objid = (SELECT oid FROM here))
        OR h.classid NOT IN ('pg_database'::regclass, 'pg_namespace'::regclass, 'pg_class'::regclass,
            'pg_proc'::regclass, 'pg_default_acl'::regclass)
    UNION ALL
    SELECT 'a', 'it has ' || a.privilege_type || ' on the database', NULL
    FROM here AS d CROSS JOIN aclexplode(d.datacl) AS a
    WHERE a.grantee = (SELECT oid FROM role) AND (a.is_grantable OR a.privilege_type <> ALL ($4::text[]))
    UNION ALL
    SELECT 'a', 'it has ' || a.privilege_type || ' on schema ' || quote_ident(n.nspname), NULL
    FROM held AS h JOIN pg_namespace AS n ON h.classid = 'pg_namespace'::regclass AND n.oid = h.objid
    CROSS JOIN aclexplode(n.nspacl) AS a
    WHERE h.deptype = 'a' AND h.dbid = (SELECT oid FROM here) AND a.grantee = (SELECT oid FROM role)
        AND (a.is_grantable OR a.privilege_type <> ALL ($5::text[])
            OR CASE WHEN $2::text IS NULL THEN n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
                ELSE n.nspname <> $2::text END)
    UNION ALL
    SELECT 'a', 'it has ' || a.privilege_type || ' on ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname), NULL
    FROM held AS h JOIN pg_class AS c ON h.classid = 'pg_class'::regclass AND c.oid = h.objid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) AS a
    WHERE h.deptype = 'a' AND h.dbid = (SELECT oid FROM here) AND a.grantee = (SELECT oid FROM role)
        AND (a.is_grantable
            OR a.privilege_type <> ALL (CASE WHEN c.relkind = 'S' THEN $7::text[] ELSE $6::text[] END)
            OR CASE WHEN $2::text IS NULL THEN n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
                ELSE n.nspname <> $2::text END
            OR $3::text IS NOT NULL AND c.relkind <> 'S' AND c.relname <> $3::text
            OR $3::text IS NOT NULL AND c.relkind = 'S' AND NOT EXISTS (
                SELECT FROM pg_depend AS o JOIN pg_class AS t ON t.oid = o.refobjid
                WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid
                    AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') AND t.relname = $3::text))
    UNION ALL
    SELECT 'a', 'it has ' || a.privilege_type || ' on ' || p.oid::regprocedure::text, NULL
    FROM held AS h JOIN pg_proc AS p ON h.classid = 'pg_proc'::regclass AND p.oid = h.objid
    JOIN pg_namespace AS n ON n.oid = p.pronamespace CROSS JOIN aclexplode(p.proacl) AS a
    WHERE h.deptype = 'a' AND h.dbid = (SELECT oid FROM here) AND a.grantee = (SELECT oid FROM role)
        AND (a.is_grantable OR a.privilege_type <> ALL ($8::text[]) OR $3::text IS NOT NULL
            OR CASE WHEN $2::text IS NULL THEN n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
                ELSE n.nspname <> $2::text END)
    UNION ALL
    SELECT 'a', 'it will have ' || a.privilege_type || ' on what ' || quote_ident(pg_get_userbyid(f.defaclrole)) || ' makes', NULL
    FROM held AS h JOIN pg_default_acl AS f ON h.classid = 'pg_default_acl'::regclass AND f.oid = h.objid
    CROSS JOIN aclexplode(f.defaclacl) AS a
    WHERE h.deptype = 'a' AND h.dbid = (SELECT oid FROM here) AND a.grantee = (SELECT oid FROM role)
        AND (a.is_grantable OR $3::text IS NOT NULL
            OR f.defaclnamespace <> coalesce((SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $2::text), 0)
            OR a.privilege_type <> ALL (CASE f.defaclobjtype WHEN 'r' THEN $6::text[] WHEN 'S' THEN $7::text[]
                WHEN 'f' THEN $8::text[] WHEN 'n' THEN $5::text[] ELSE '{}'::text[] END))
) AS b ORDER BY b.kind LIMIT 20";

/// What a permission role of one table lacks, and whether the table is there: parameters as in [`BEYOND`],
/// without the last.
/// Rows are kind, schema, name, and what more there is to say.
pub(crate) const LACKING_ON_TABLE: &str = "
WITH role AS (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = $1),
subject AS (
    SELECT c.*, n.nspname, n.nspacl FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $2::text AND c.relname = $3::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT 'here', NULL::text, NULL::text, NULL::text FROM subject
UNION ALL
SELECT 'database', NULL, d.datname::text, NULL FROM pg_database AS d
WHERE d.datname = current_database() AND cardinality($4::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(d.datacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($4::text[]))
UNION ALL
SELECT 'schema', NULL, s.nspname::text, NULL FROM subject AS s
WHERE cardinality($5::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(s.nspacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($5::text[]))
UNION ALL
SELECT 'table', s.nspname::text, s.relname::text, NULL FROM subject AS s
WHERE cardinality($6::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(s.relacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($6::text[]))
UNION ALL
SELECT 'sequence', s.nspname::text, q.relname::text, NULL FROM subject AS s
JOIN pg_depend AS o ON o.refclassid = 'pg_class'::regclass AND o.refobjid = s.oid
    AND o.classid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
JOIN pg_class AS q ON q.oid = o.objid AND q.relkind = 'S'
WHERE cardinality($7::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(q.relacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($7::text[]))
LIMIT 500";

/// The same for the role of a schema, or of a whole database (`$2` NULL; `$3` is not used). Creators are
/// those who own something in the scope or may create there, as far as they are not ours and we may speak for
/// them; what others make later an admin who is no superuser cannot cover, `check` names them. Nor can it give
/// on what accounts of ours made: that is left out for it.
pub(crate) const LACKING_IN_SCOPE: &str = "
WITH role AS (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = $1),
scope AS (
    SELECT n.* FROM pg_namespace AS n
    WHERE CASE WHEN $2::text IS NULL THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ELSE n.nspname = $2::text END
),
ours AS (
    SELECT d.objoid AS oid FROM pg_shdescription AS d
    WHERE d.classoid = 'pg_authid'::regclass AND d.description LIKE 'tidegate:%'
),
creators AS (
    SELECT DISTINCT r.oid, r.rolname FROM (
        SELECT c.relowner AS oid FROM pg_class AS c JOIN scope AS n ON n.oid = c.relnamespace
        UNION SELECT p.proowner FROM pg_proc AS p JOIN scope AS n ON n.oid = p.pronamespace
        UNION SELECT n.nspowner FROM scope AS n
        UNION SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()
        UNION SELECT a.grantee FROM scope AS n CROSS JOIN aclexplode(n.nspacl) AS a WHERE a.privilege_type = 'CREATE'
    ) AS o JOIN pg_roles AS r ON r.oid = o.oid
    LEFT JOIN pg_shdescription AS c ON c.classoid = 'pg_authid'::regclass AND c.objoid = r.oid
    WHERE r.rolname !~ '^pg_' AND coalesce(c.description, '') NOT LIKE 'tidegate:%' AND pg_has_role(r.oid, 'USAGE')
)
SELECT * FROM (
SELECT 'here' AS kind, NULL::text AS schema, NULL::text AS name, NULL::text AS more
WHERE $2::text IS NULL OR EXISTS (SELECT FROM scope)
UNION ALL
SELECT 'database', NULL, d.datname::text, NULL FROM pg_database AS d
WHERE d.datname = current_database() AND cardinality($4::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(d.datacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($4::text[]))
UNION ALL
SELECT 'schema', NULL, n.nspname::text, NULL FROM scope AS n
WHERE cardinality($5::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(n.nspacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($5::text[]))
    AND (pg_has_role(n.nspowner, 'USAGE') OR n.nspowner NOT IN (SELECT oid FROM ours))
UNION ALL
SELECT 'default', $2::text, r.rolname::text, k.kind FROM creators AS r
CROSS JOIN (VALUES ('tables', 'r', $6::text[]), ('sequences', 'S', $7::text[]), ('routines', 'f', $8::text[]),
    ('schemas', 'n', CASE WHEN $2::text IS NULL THEN $5::text[] ELSE '{}'::text[] END)) AS k(kind, type, wanted)
WHERE $3::text IS NULL AND cardinality(k.wanted) > (SELECT count(DISTINCT a.privilege_type)
    FROM pg_default_acl AS f CROSS JOIN aclexplode(f.defaclacl) AS a
    WHERE f.defaclrole = r.oid AND f.defaclobjtype::text = k.type
        AND f.defaclnamespace = coalesce((SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $2::text), 0)
        AND a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY (k.wanted))
UNION ALL
SELECT CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, NULL
FROM pg_class AS c JOIN scope AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind = 'S' THEN $7::text[] ELSE $6::text[] END) AS w(wanted)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND cardinality(w.wanted) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(c.relacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY (w.wanted))
    AND (pg_has_role(c.relowner, 'USAGE') OR c.relowner NOT IN (SELECT oid FROM ours))
UNION ALL
SELECT 'routine', NULL, p.oid::regprocedure::text, NULL
FROM pg_proc AS p JOIN scope AS n ON n.oid = p.pronamespace
WHERE cardinality($8::text[]) > (SELECT count(DISTINCT a.privilege_type)
    FROM aclexplode(p.proacl) AS a WHERE a.grantee = (SELECT oid FROM role) AND a.privilege_type = ANY ($8::text[]))
    AND (pg_has_role(p.proowner, 'USAGE') OR p.proowner NOT IN (SELECT oid FROM ours))
) AS l LIMIT 500";
