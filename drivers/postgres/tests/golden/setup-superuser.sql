-- Prepares PostgreSQL for Tidegate
-- Run it with psql 11 or later as a superuser, in any database of the server:
--     psql -X -d postgres -f THIS_FILE
-- The role is tidegate_connector unless you add: -v username=NAME. A password is asked for when it is set,
-- and only a verifier goes to the server. Mode `least` gives the role less than mode `superuser`.
\set ON_ERROR_STOP on
\if :{?username}
\else
    \set username tidegate_connector
\endif
CREATE ROLE :"username" LOGIN;
SET password_encryption = 'scram-sha-256';
\password :"username"

-- SUPERUSER (needed): creates accounts, gives rights on objects of every owner, ends sessions, hands over what accounts own
ALTER ROLE :"username" SUPERUSER;
