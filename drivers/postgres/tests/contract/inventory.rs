//! Everything on a server that the driver could change, one fact a line.

use std::collections::BTreeSet;

use driver::contract::WorldFault;
use services::postgres::Postgres;

use crate::admin::admin;

const SHARED: &str = "
SELECT 'role ' || rolname || ' ' || concat_ws(',', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
    rolreplication, rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil) FROM pg_authid
UNION ALL SELECT 'comment on ' || r.rolname || ' ' || d.description
    FROM pg_shdescription d JOIN pg_roles r ON r.oid = d.objoid WHERE d.classoid = 'pg_authid'::regclass
UNION ALL SELECT 'member ' || u.rolname || ' of ' || r.rolname || ' ' || m.admin_option
    FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member JOIN pg_roles r ON r.oid = m.roleid
UNION ALL SELECT 'setting ' || coalesce(r.rolname, '') || ' ' || coalesce(d.datname, '') || ' ' || s.setconfig::text
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
UNION ALL SELECT 'database ' || datname || ' of ' || pg_get_userbyid(datdba) FROM pg_database
UNION ALL SELECT 'database right ' || datname || ' ' || a::text
    FROM pg_database d, unnest(coalesce(datacl, acldefault('d', datdba))) a
UNION ALL SELECT 'tablespace right ' || spcname || ' ' || a::text
    FROM pg_tablespace t, unnest(coalesce(spcacl, acldefault('t', spcowner))) a
UNION ALL SELECT 'prepared ' || gid || ' of ' || owner FROM pg_prepared_xacts";

const IN_A_DATABASE: &str = "
SELECT 'schema ' || nspname || ' of ' || pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
UNION ALL SELECT 'schema right ' || nspname || ' ' || a::text
    FROM pg_namespace, unnest(coalesce(nspacl, acldefault('n', nspowner))) a WHERE nspname !~ '^pg_(toast|temp)'
UNION ALL SELECT 'relation ' || c.oid::regclass || ' of ' || pg_get_userbyid(relowner)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind NOT IN ('i', 't', 'I') AND nspname !~ '^pg_'
UNION ALL SELECT 'relation right ' || c.oid::regclass || ' ' || a::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace,
        unnest(coalesce(relacl, acldefault((CASE WHEN relkind = 'S' THEN 's' ELSE 'r' END)::\"char\", relowner))) a
    WHERE relkind NOT IN ('i', 't', 'I') AND nspname !~ '^pg_'
UNION ALL SELECT 'column right ' || attrelid::regclass || '.' || attname || ' ' || a::text
    FROM pg_attribute, unnest(attacl) a WHERE attrelid >= 16384
UNION ALL SELECT 'routine ' || p.oid::regprocedure || ' of ' || pg_get_userbyid(proowner)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL SELECT 'routine right ' || p.oid::regprocedure || ' ' || a::text
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace, unnest(coalesce(proacl, acldefault('f', proowner))) a
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL SELECT 'default ' || pg_get_userbyid(defaclrole) || ' ' || defaclnamespace::regnamespace || ' '
    || defaclobjtype::text || ' ' || a::text
    FROM pg_default_acl, unnest(defaclacl) a
    WHERE NOT a = ANY (acldefault(CASE defaclobjtype WHEN 'S' THEN 's'::\"char\" ELSE defaclobjtype END, defaclrole))";

pub(crate) async fn inventory(server: &Postgres) -> Result<BTreeSet<String>, WorldFault> {
    let line = admin(server, "postgres").await?;
    let mut found: BTreeSet<String> = line.column(SHARED).await?.into_iter().collect();
    let databases =
        line.column("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate").await?;
    for database in databases {
        let facts = admin(server, &database).await?.column(IN_A_DATABASE).await?;
        found.extend(facts.into_iter().map(|fact| format!("{database}: {fact}")));
    }
    Ok(found)
}
