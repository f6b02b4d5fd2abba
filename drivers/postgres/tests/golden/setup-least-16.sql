-- Prepares PostgreSQL 16 and later for Tidegate, mode least.
-- Run it with psql 11 or later as a superuser, in any database of the server:
--     psql -X -d postgres -f THIS_FILE
-- It asks twice for the new role's password; only a verifier goes to the server.
--
-- CREATEROLE reaches only the roles that were made with it (16 and later); everything else that the
-- role may do stands below.
--
-- What Tidegate cannot do with it:
-- * What a role makes later is not covered by access to its schema or database unless you made the admin a member of that role (--owner).
-- * An account that owns something in a schema of somebody whom the admin is no member of is not deleted: that cannot be handed to the heir, so it is kept shut and reported.
-- * What a superuser adds to an account by hand (CREATEDB, memberships that others gave) is seen and reported, and not taken; the login is shut all the same.
-- * Members are made only of roles that you give it with ADMIN OPTION (from 16 on); rights on what superusers own only with GRANT OPTION.
-- * What an account makes in a schema is not given to other accounts that have access there.
-- * An account's row is not locked before it is acted on: it is verified before and after, in one transaction.
-- * Up to 15, whoever can log in to a database can hold up openings there, not closings, with an advisory lock.
-- `check` names each right that is missing, with the statement that gives it.
\if :{?username}
\else
    \set username 'tidegate_connector'
\endif
\set ON_ERROR_STOP on
DO $tidegate$ BEGIN IF current_setting('server_version_num')::int < 160000 THEN RAISE EXCEPTION USING MESSAGE = 'this server is 15 or earlier: make the script again with its --server-version'; END IF; END $tidegate$;
BEGIN;
-- CREATEROLE: makes, opens and shuts accounts
CREATE ROLE :"username" LOGIN INHERIT CREATEROLE NOSUPERUSER;
-- pg_signal_backend: ends the sessions of accounts; it reaches those of everybody who is no superuser
GRANT pg_signal_backend TO :"username" WITH INHERIT TRUE, SET FALSE;
-- tidegate_managed: makes accounts members of the common role, which somebody else made
SELECT format('GRANT tidegate_managed TO %I WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', :'username') WHERE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tidegate_managed')
\gexec
DO $tidegate$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper AND pg_catalog.pg_has_role('"app_owner"'::pg_catalog.regrole, oid, 'MEMBER')) THEN RAISE EXCEPTION USING MESSAGE = '"app_owner" is a superuser, or a member of one: membership would be all of its power', HINT = 'give what it owns to a role that is none (ALTER ... OWNER TO, REASSIGN OWNED) and name that one, or take --mode superuser'; END IF; END $tidegate$;
-- gives rights on what this role owns, and on what it will make
GRANT "app_owner" TO :"username" WITH INHERIT TRUE, SET FALSE;
DO $tidegate$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper AND pg_catalog.pg_has_role('"o""w;n''er"'::pg_catalog.regrole, oid, 'MEMBER')) THEN RAISE EXCEPTION USING MESSAGE = '"o""w;n''er" is a superuser, or a member of one: membership would be all of its power', HINT = 'give what it owns to a role that is none (ALTER ... OWNER TO, REASSIGN OWNED) and name that one, or take --mode superuser'; END IF; END $tidegate$;
-- gives rights on what this role owns, and on what it will make
GRANT "o""w;n'er" TO :"username" WITH INHERIT TRUE, SET FALSE;
DO $tidegate$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper AND pg_catalog.pg_has_role('"analysts"'::pg_catalog.regrole, oid, 'MEMBER')) THEN RAISE EXCEPTION USING MESSAGE = '"analysts" is a superuser, or a member of one: membership would be all of its power', HINT = 'give what it owns to a role that is none (ALTER ... OWNER TO, REASSIGN OWNED) and name that one, or take --mode superuser'; END IF; END $tidegate$;
-- makes accounts members of this role
GRANT "analysts" TO :"username" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
SET LOCAL password_encryption = 'scram-sha-256';
\password :"username"
COMMIT;
