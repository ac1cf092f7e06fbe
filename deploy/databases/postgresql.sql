-- The two users of kernel on PostgreSQL, and all that each may do. Set both passwords, then, as postgres:
--
--     psql --set ON_ERROR_STOP=1 --file deploy/databases/postgresql.sql
CREATE ROLE kernel LOGIN PASSWORD 'PASSWORD';
CREATE ROLE kernel_migrate LOGIN PASSWORD 'PASSWORD_OF_MIGRATE';
CREATE DATABASE kernel OWNER kernel_migrate ENCODING 'UTF8' TEMPLATE template0;
\connect kernel
REVOKE ALL ON DATABASE kernel FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- For kernel migrate, and for the target of kernel copy: what it makes is its own.
GRANT USAGE, CREATE ON SCHEMA public TO kernel_migrate;

-- For API, workers, dispatchers and commands: they read and write rows, of tables to come, too.
GRANT CONNECT ON DATABASE kernel TO kernel;
GRANT USAGE ON SCHEMA public TO kernel;
ALTER DEFAULT PRIVILEGES FOR ROLE kernel_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO kernel;
ALTER DEFAULT PRIVILEGES FOR ROLE kernel_migrate IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO kernel;
