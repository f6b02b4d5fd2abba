//! What there is to have: databases, schemas, tables, roles.

/// Databases without templates and those of the services that host them: name, owner, whether it takes
/// connections at all.
pub(crate) const DATABASES: &str = "
SELECT d.datname, pg_get_userbyid(d.datdba), d.datallowconn FROM pg_database AS d
WHERE NOT d.datistemplate
    AND d.datname NOT IN ('rdsadmin', 'cloudsqladmin', 'alloydbadmin', 'alloydbmetadata', 'azure_maintenance',
        'azure_sys')
ORDER BY d.datname";

/// Roles that can be attached to, page by page: `$1` the last name seen, `$2` how many, `$3` whether we may give any.
pub(crate) const ROLES: &str = "
WITH RECURSIVE reach(start, oid, admin) AS (
    SELECT r.oid, r.oid, false FROM pg_roles AS r
    UNION
    SELECT x.start, m.roleid, m.admin_option FROM pg_auth_members AS m JOIN reach AS x ON m.member = x.oid
),
refused AS (
    SELECT DISTINCT x.start FROM reach AS x JOIN pg_roles AS r ON r.oid = x.oid
    LEFT JOIN pg_shdescription AS d ON d.classoid = 'pg_authid'::regclass AND d.objoid = r.oid
    WHERE x.admin OR r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
        OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
            'pg_signal_backend', 'pg_create_subscription',
            'rds_superuser', 'rds_replication', 'rds_password', 'cloudsqlsuperuser', 'alloydbsuperuser',
            'azure_pg_admin')
        OR d.description LIKE 'tidegate:%' OR r.rolname ~ '^tidegate_' OR r.rolname = session_user
)
SELECT r.rolname FROM pg_roles AS r
WHERE r.rolname > $1 AND r.rolname !~ '^pg_' AND NOT EXISTS (SELECT FROM refused WHERE start = r.oid)
    AND ($3::bool OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'))
ORDER BY r.rolname LIMIT $2";

/// A cursor over the schemas of this database: name, owner.
pub(crate) const SCHEMAS: &str = "
DECLARE schemas NO SCROLL CURSOR FOR
SELECT n.nspname, pg_get_userbyid(n.nspowner) FROM pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname";

pub(crate) const MORE_SCHEMAS: &str = "FETCH 500 FROM schemas";

/// A cursor over the tables and the like of this database: schema, name, kind, owner. Partitions are left
/// out where their parent is listed, and what belongs to an extension.
pub(crate) const TABLES: &str = "
DECLARE tables NO SCROLL CURSOR FOR
SELECT n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
        AND e.deptype = 'e')";

pub(crate) const MORE_TABLES: &str = "FETCH 500 FROM tables";

/// Where PUBLIC has rights on tables of this database: how many.
pub(crate) const PUBLIC_TABLES: &str = "
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN aclexplode(c.relacl) AS a
WHERE a.grantee = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'";
