-- PostgreSQL 10.23
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x";
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x";
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- PostgreSQL 15.18
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x";
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x";
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- PostgreSQL 16.10
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x" WITH INHERIT TRUE, SET FALSE;
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x" WITH INHERIT FALSE, SET FALSE;
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" GRANTED BY "postgres" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
-- PostgreSQL 17.6
-- join
GRANT "tidegate_ro_y" TO "tidegate_ann_x" WITH INHERIT TRUE, SET FALSE;
-- join the common role
GRANT "tidegate_managed" TO "tidegate_ann_x" WITH INHERIT FALSE, SET FALSE;
-- leave
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" GRANTED BY "postgres" CASCADE;
-- leave, grantor gone
REVOKE "tidegate_ro_y" FROM "tidegate_ann_x" CASCADE;
