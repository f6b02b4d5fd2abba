-- PostgreSQL 10.23
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x";
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x";
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- lock shared roles, as a superuser
SELECT FROM pg_authid WHERE rolname = 'tidegate_managed' FOR UPDATE;
-- lock shared roles, without
SELECT pg_advisory_xact_lock(hashtext('tidegate'), hashtext('shared roles'));
-- act in its place, without
GRANT "tidegate_ann_x" TO SESSION_USER;
-- act in its place no more, without
REVOKE "tidegate_ann_x" FROM SESSION_USER;
-- PostgreSQL 15.18
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x";
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x";
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- lock shared roles, as a superuser
SELECT FROM pg_authid WHERE rolname = 'tidegate_managed' FOR UPDATE;
-- lock shared roles, without
SELECT pg_advisory_xact_lock(hashtext('tidegate'), hashtext('shared roles'));
-- act in its place, without
GRANT "tidegate_ann_x" TO SESSION_USER;
-- act in its place no more, without
REVOKE "tidegate_ann_x" FROM SESSION_USER;
-- PostgreSQL 16.10
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x" WITH INHERIT TRUE, SET FALSE;
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x" WITH INHERIT FALSE, SET FALSE;
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" GRANTED BY "postgres" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- lock shared roles, as a superuser
SELECT FROM pg_authid WHERE rolname = 'tidegate_managed' FOR UPDATE;
-- lock shared roles, without
REVOKE "tidegate_managed" FROM SESSION_USER GRANTED BY SESSION_USER;
-- act in its place, without
GRANT "tidegate_ann_x" TO SESSION_USER WITH INHERIT TRUE, SET TRUE;
-- act in its place no more, without
REVOKE "tidegate_ann_x" FROM SESSION_USER GRANTED BY SESSION_USER;
-- PostgreSQL 17.6
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x" WITH INHERIT TRUE, SET FALSE;
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x" WITH INHERIT FALSE, SET FALSE;
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" GRANTED BY "postgres" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- lock shared roles, as a superuser
SELECT FROM pg_authid WHERE rolname = 'tidegate_managed' FOR UPDATE;
-- lock shared roles, without
REVOKE "tidegate_managed" FROM SESSION_USER GRANTED BY SESSION_USER;
-- act in its place, without
GRANT "tidegate_ann_x" TO SESSION_USER WITH INHERIT TRUE, SET TRUE;
-- act in its place no more, without
REVOKE "tidegate_ann_x" FROM SESSION_USER GRANTED BY SESSION_USER;
-- PostgreSQL 18.6
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x" WITH INHERIT TRUE, SET FALSE;
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x" WITH INHERIT FALSE, SET FALSE;
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" GRANTED BY "postgres" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- lock shared roles, as a superuser
SELECT FROM pg_authid WHERE rolname = 'tidegate_managed' FOR UPDATE;
-- lock shared roles, without
REVOKE "tidegate_managed" FROM SESSION_USER GRANTED BY SESSION_USER;
-- act in its place, without
GRANT "tidegate_ann_x" TO SESSION_USER WITH INHERIT TRUE, SET TRUE;
-- act in its place no more, without
REVOKE "tidegate_ann_x" FROM SESSION_USER GRANTED BY SESSION_USER;
