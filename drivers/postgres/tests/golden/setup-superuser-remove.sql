-- Removes the admin account of Tidegate from PostgreSQL
-- Run it with psql 11 or later as a superuser, in any database of the server:
--     psql -X -d postgres -f THIS_FILE
-- The role is tidegate_connector unless you add: -v username=NAME. A password is asked for when it is set,
-- and only a verifier goes to the server. Mode `least` gives the role less than mode `superuser`.
\set ON_ERROR_STOP on
\if :{?username}
\else
    \set username tidegate_connector
\endif
SELECT count(*) > 0 AS still_open FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper
\gset
\if :{?anyway}
\elif :still_open
    SELECT rolname AS can_still_log_in FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' AND rolcanlogin AND NOT rolcreaterole AND NOT rolsuper ORDER BY rolname;
    DO $tidegate$ BEGIN RAISE EXCEPTION USING MESSAGE = 'nothing was removed: accounts of Tidegate can still log in, and without the admin nobody closes them', HINT = 'run tidegatectl retire INTEGRATION --yes first and wait until it is retired; add -v anyway=1 if they are another connector''s'; END $tidegate$;
\endif
ALTER ROLE :"username" NOSUPERUSER;
\echo 'Roles of Tidegate that are still here; tidegatectl retire INTEGRATION --yes removes them, and goes first:'
SELECT rolname FROM pg_catalog.pg_roles WHERE rolname ~ '^tidegate_' AND rolname <> :'username' ORDER BY rolname;
DROP ROLE :"username";
