-- The two users of kernel on MariaDB or MySQL, and all that each may do. Set both passwords, then, as root:
--
--     mariadb < deploy/databases/mariadb.sql
--
-- Run again, it changes nothing.
CREATE DATABASE IF NOT EXISTS kernel CHARACTER SET utf8mb4;

-- For API, workers, dispatchers and commands: they read and write rows.
CREATE USER IF NOT EXISTS kernel@'%' IDENTIFIED BY 'PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.* TO kernel@'%';

-- For kernel migrate, and for the target of kernel copy. REFERENCES is MySQL's wish: MariaDB 10.11 asks for none.
CREATE USER IF NOT EXISTS kernel_migrate@'%' IDENTIFIED BY 'PASSWORD_OF_MIGRATE';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES
    ON kernel.* TO kernel_migrate@'%';
