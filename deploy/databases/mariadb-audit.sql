-- Rights with which the service cannot rewrite its audit trail, on MariaDB or MySQL. After mariadb.sql and after
-- each kernel migrate that makes tables, before the new release starts, as root:
--
--     mariadb < deploy/databases/mariadb-audit.sql
--
-- MariaDB cannot take a right away from one table of kernel.*, so every other table is named. Handlers' tables that lie
-- in this database need the same line.
GRANT UPDATE, DELETE ON kernel.kernel_annotations TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_api_keys TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_attempts TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_bulk_jobs TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_bulk_left TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_callers TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_conditions TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_counts TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_deliveries TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_drained_hosts TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_error_hours TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_errors TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_events TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_gates TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_installation TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_keys TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_limit_lines TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_limits TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_minutes TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_notices TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_orders TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_pauses TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_people TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_process_metrics TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_receivers TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_references TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_refused_keys TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_reruns TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_run_marks TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_runs TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_schedules TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_select_tags TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_service_keys TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_sessions TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_shapes TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_shares TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_signing_secrets TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_slots TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_steps TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_sweeps TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_told TO kernel@'%';
GRANT UPDATE, DELETE ON kernel.kernel_workers TO kernel@'%';
REVOKE UPDATE, DELETE ON kernel.* FROM kernel@'%';
