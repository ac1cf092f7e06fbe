-- What the migrations up to 0004 made before tables were called kernel_...: frozen, never to be changed.
-- 0001

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE callers (
    id INTEGER NOT NULL AUTO_INCREMENT,
    name VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    allow_nets TEXT NOT NULL,
    allow_hosts TEXT NOT NULL,
    headers TEXT NOT NULL,
    schedule TEXT,
    CONSTRAINT pk_callers PRIMARY KEY (id),
    CONSTRAINT uq_callers_name UNIQUE (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE select_tags (
    tag VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seen_at DATETIME(6) NOT NULL,
    CONSTRAINT pk_select_tags PRIMARY KEY (tag)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sweeps (
    id INTEGER NOT NULL,
    swept_at DATETIME(6) NOT NULL,
    CONSTRAINT pk_sweeps PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE workers (
    id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    host VARCHAR(255) NOT NULL,
    pid INTEGER NOT NULL,
    kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    started_at DATETIME(6) NOT NULL,
    seen_at DATETIME(6) NOT NULL,
    running TEXT NOT NULL,
    broken TEXT NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE service_keys (
    id INTEGER NOT NULL,
    secret VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    CONSTRAINT pk_service_keys PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE process_metrics (
    id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    written_at DATETIME(6) NOT NULL,
    series LONGTEXT NOT NULL,
    CONSTRAINT pk_process_metrics PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE api_keys (
    id INTEGER NOT NULL AUTO_INCREMENT,
    caller_id INTEGER NOT NULL,
    prefix VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    key_hash VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    scopes VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6),
    revoked_at DATETIME(6),
    used_at DATETIME(6),
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_caller_id FOREIGN KEY(caller_id) REFERENCES callers (id),
    CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_api_keys_caller_id ON api_keys (caller_id);

CREATE TABLE orders (
    id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    caller_id INTEGER NOT NULL,
    select_tag VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    args LONGTEXT NOT NULL,
    callback_url VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    idempotency_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
    fingerprint VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    request_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    traceparent VARCHAR(55) CHARACTER SET ascii COLLATE ascii_bin,
    created_at DATETIME(6) NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    run_after DATETIME(6) NOT NULL,
    run INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    lease_until DATETIME(6),
    connection_id BIGINT,
    cancel_requested_at DATETIME(6),
    progress_current BIGINT,
    progress_total BIGINT,
    progress_note VARCHAR(1000),
    run_state LONGTEXT,
    started_at DATETIME(6),
    finished_at DATETIME(6),
    message VARCHAR(1000),
    result LONGTEXT,
    error_code VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT fk_orders_caller_id FOREIGN KEY(caller_id) REFERENCES callers (id),
    CONSTRAINT uq_orders_caller_id_idempotency_key UNIQUE (caller_id, idempotency_key)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_orders_caller_id_id ON orders (caller_id, id);

CREATE INDEX ix_orders_finished_at ON orders (finished_at);

CREATE INDEX ix_orders_state_id ON orders (state, id);

CREATE INDEX ix_orders_state_run_after ON orders (state, run_after);

CREATE TABLE pauses (
    id INTEGER NOT NULL AUTO_INCREMENT,
    host VARCHAR(300) CHARACTER SET ascii COLLATE ascii_bin,
    caller_id INTEGER,
    created_at DATETIME(6) NOT NULL,
    CONSTRAINT pk_pauses PRIMARY KEY (id),
    CONSTRAINT fk_pauses_caller_id FOREIGN KEY(caller_id) REFERENCES callers (id),
    CONSTRAINT uq_pauses_caller_id UNIQUE (caller_id),
    CONSTRAINT uq_pauses_host UNIQUE (host)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE signing_secrets (
    id INTEGER NOT NULL AUTO_INCREMENT,
    caller_id INTEGER NOT NULL,
    secret VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6),
    CONSTRAINT pk_signing_secrets PRIMARY KEY (id),
    CONSTRAINT fk_signing_secrets_caller_id FOREIGN KEY(caller_id) REFERENCES callers (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_signing_secrets_caller_id ON signing_secrets (caller_id);

CREATE TABLE deliveries (
    id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    order_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    caller_id INTEGER NOT NULL,
    origin VARCHAR(300) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    url VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `body` LONGBLOB NOT NULL,
    created_at DATETIME(6) NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    next_attempt_at DATETIME(6) NOT NULL,
    late BOOL NOT NULL,
    claim_token VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
    attempt INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    client_errors INTEGER NOT NULL,
    finished_at DATETIME(6),
    CONSTRAINT pk_deliveries PRIMARY KEY (id),
    CONSTRAINT fk_deliveries_caller_id FOREIGN KEY(caller_id) REFERENCES callers (id),
    CONSTRAINT fk_deliveries_order_id FOREIGN KEY(order_id) REFERENCES orders (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_deliveries_caller_id_id ON deliveries (caller_id, id);

CREATE INDEX ix_deliveries_order_id ON deliveries (order_id);

CREATE INDEX ix_deliveries_state_finished_at ON deliveries (state, finished_at);

CREATE INDEX ix_deliveries_state_late_caller_id_origin_next_attempt_at ON deliveries (state, late, caller_id, origin, next_attempt_at);

CREATE TABLE attempts (
    id BIGINT NOT NULL AUTO_INCREMENT,
    delivery_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number INTEGER NOT NULL,
    started_at DATETIME(6) NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    reason VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin,
    phases VARCHAR(255) NOT NULL,
    excerpt VARCHAR(1000),
    CONSTRAINT pk_attempts PRIMARY KEY (id),
    CONSTRAINT fk_attempts_delivery_id FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_attempts_delivery_id ON attempts (delivery_id);

-- 0002

CREATE TABLE project_tb_project (
    id INTEGER NOT NULL AUTO_INCREMENT,
    projname VARCHAR(255) NOT NULL,
    prodesc TEXT NOT NULL,
    projctime DATETIME(6) NOT NULL,
    CONSTRAINT pk_project_tb_project PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

-- 0003

CREATE TABLE minutes (
    began_at DATETIME(6) NOT NULL,
    accepted INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    took TEXT NOT NULL,
    CONSTRAINT pk_minutes PRIMARY KEY (began_at)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE workers ADD COLUMN probing TEXT;

CREATE INDEX ix_attempts_started_at_reason ON attempts (started_at, reason);

-- 0004

CREATE INDEX ix_orders_state_select_tag_id ON orders (state, select_tag, id);

CREATE INDEX ix_orders_caller_id_state_select_tag_id ON orders (caller_id, state, select_tag, id);
