-- Rights with which the service cannot rewrite its audit trail, on PostgreSQL. After postgresql.sql and the first
-- kernel migrate, as kernel_migrate:
--
--     psql --set ON_ERROR_STOP=1 --file deploy/databases/postgresql-audit.sql kernel
REVOKE UPDATE, DELETE ON kernel_acts, kernel_act_seals FROM kernel;
