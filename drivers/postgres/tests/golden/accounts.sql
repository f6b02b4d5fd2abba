-- open: make it
CREATE ROLE "tidegate_ann_x" LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 10 VALID UNTIL '2026-01-31T10:00:00.000Z' PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5';
-- create: make it
CREATE ROLE "tidegate_ann_x" NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 0 VALID UNTIL 'infinity';
-- mark it
COMMENT ON ROLE "tidegate_ann_x" IS 'tidegate:1:eyJ9:00:AA';
-- open the login
ALTER ROLE "tidegate_ann_x" LOGIN CONNECTION LIMIT 10;
-- rename it back
ALTER ROLE "renamed" RENAME TO "tidegate_ann_x";
-- renew
ALTER ROLE "tidegate_ann_x" VALID UNTIL '2026-01-31T10:00:00.000Z';
-- rotate
ALTER ROLE "tidegate_ann_x" PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5';
-- strip attributes
ALTER ROLE "tidegate_ann_x" NOSUPERUSER NOCREATEDB;
-- verify, as a superuser
SELECT 1 / count(*) FROM (SELECT FROM pg_authid AS r WHERE r.oid = 16500 AND r.rolname = 'tidegate_ann_x' FOR UPDATE) AS account;
-- verify a mark, as a superuser
SELECT 1 / count(*) FROM (SELECT FROM pg_authid AS r WHERE r.oid = 16500 AND r.rolname = 'it''s' AND shobj_description(r.oid, 'pg_authid') = 'tidegate:1:a:b:c' FOR UPDATE) AS account;
-- verify, without
SELECT 1 / count(*) FROM pg_roles AS r WHERE r.oid = 16500 AND r.rolname = 'tidegate_ann_x';
-- verify that it is gone
SELECT 1 / (count(*) = 0)::int FROM pg_roles AS r WHERE r.oid = 16500;
-- lock
SELECT FROM pg_authid AS r WHERE r.oid = 16500 OR r.rolname = 'tidegate_ann_x' ORDER BY r.oid FOR UPDATE;
-- in time
SELECT 1 / (clock_timestamp() < now() + interval '5 s')::int;
-- shut_login
ALTER ROLE "tidegate_ann_x" NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL '-infinity';
-- scramble
ALTER ROLE "tidegate_ann_x" PASSWORD NULL;
-- end_sessions, resisting
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) AS a WHERE a.usesysid = 16500 AND a.pid <> pg_backend_pid();
-- end_sessions, starting
SET LOCAL ROLE "tidegate_ann_x";
SELECT pg_terminate_backend(4711);
-- prepared transactions
ROLLBACK PREPARED E'a''b\\c';
-- settings
ALTER ROLE "tidegate_ann_x" RESET ALL;
-- settings in a database
ALTER ROLE "tidegate_ann_x" IN DATABASE "a""b" RESET ALL;
-- delete: hand over
REASSIGN OWNED BY "tidegate_ann_x" TO "tidegate_heir_z";
-- delete: owns nothing
SELECT 1 / (count(*) = 0)::int FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = 16500 AND s.deptype = 'o' AND s.dbid IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())) AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass);
-- delete: the rest
DROP OWNED BY "tidegate_ann_x";
-- delete
DROP ROLE "tidegate_ann_x";
-- shared role
CREATE ROLE "tidegate_ro_y" NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
-- delete: own here, without
GRANT CREATE ON SCHEMA "s""x" TO "tidegate_heir_z";
-- delete: own here no more, without
REVOKE CREATE ON SCHEMA "s""x" FROM "tidegate_heir_z";
-- prepared transactions, without
SET ROLE "tidegate_ann_x";
