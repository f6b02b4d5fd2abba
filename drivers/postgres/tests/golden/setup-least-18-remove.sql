-- Removes the admin role of Tidegate from PostgreSQL 16 and later, mode least.
-- Retire the integrations first: the accounts go with them. While one can log in, nothing is removed.
-- Run it with psql 11 or later as a superuser, in any database of the server:
--     psql -X -d postgres -f THIS_FILE
\if :{?username}
\else
    \set username 'tidegate_connector'
\endif
\set ON_ERROR_STOP on
DO $tidegate$ BEGIN IF current_setting('server_version_num')::int < 160000 THEN RAISE EXCEPTION USING MESSAGE = 'this server is 15 or earlier: make the script again with its --server-version'; END IF; END $tidegate$;
BEGIN;
SELECT count(*) > 0 AS still_open FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper
\gset
\if :{?anyway}
\elif :still_open
    SELECT rolname AS can_still_log_in FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper ORDER BY rolname;
    DO $tidegate$ BEGIN RAISE EXCEPTION USING MESSAGE = 'nothing was removed: accounts of Tidegate can still log in, and without the admin nobody closes them', HINT = 'run tidegatectl retire INTEGRATION --yes first and wait until it is retired; add -v anyway=1 if they are another connector''s'; END $tidegate$;
\endif
REVOKE "app_owner" FROM :"username";
REVOKE "o""w;n'er" FROM :"username";
REVOKE "analysts" FROM :"username";
REVOKE pg_signal_backend FROM :"username";
SELECT format('REVOKE tidegate_managed FROM %I', :'username') WHERE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tidegate_managed')
\gexec
\echo 'Roles of Tidegate that are still here; tidegatectl retire INTEGRATION --yes removes them, and goes first:'
SELECT rolname FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' ORDER BY rolname;
DROP ROLE :"username";
COMMIT;
