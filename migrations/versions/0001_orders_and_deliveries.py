"""Callers, orders, deliveries and what belongs to them.

Where an installation has these tables under the names that they had before `kernel_`, they are
renamed (`kernel.db.schema.old_names`), and nothing is made; `0005` ends that.

Revision ID: 0001
Revises:
"""

import base64
import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import UTCDateTime, long_bytes, long_text, serial, token
from kernel.db.schema.old_names import rename_tables
from kernel.db.schema.steps import drop_table, make_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

metadata = sa.MetaData()
callers = sa.Table(
    "kernel_callers",
    metadata,
    sa.Column("id", sa.Integer(), sa.Identity(start=2), nullable=False),
    sa.Column("name", token(100), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("allow_nets", sa.Text(), nullable=False),
    sa.Column("allow_hosts", sa.Text(), nullable=False),
    sa.Column("headers", sa.Text(), nullable=False),
    sa.Column("schedule", sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_callers"),
    sa.UniqueConstraint("name", name="uq_kernel_callers_name"),
    **OPTIONS,
)
sa.Table(
    "kernel_select_tags",
    metadata,
    sa.Column("tag", token(100), nullable=False),
    sa.Column("seen_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("tag", name="pk_kernel_select_tags"),
    **OPTIONS,
)
sa.Table(
    "kernel_sweeps",
    metadata,
    sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("swept_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_sweeps"),
    **OPTIONS,
)
sa.Table(
    "kernel_workers",
    metadata,
    sa.Column("id", token(36), nullable=False),
    sa.Column("host", sa.String(length=255), nullable=False),
    sa.Column("pid", sa.Integer(), nullable=False),
    sa.Column("kind", token(16), nullable=False),
    sa.Column("started_at", UTCDateTime(), nullable=False),
    sa.Column("seen_at", UTCDateTime(), nullable=False),
    sa.Column("running", sa.Text(), nullable=False),
    sa.Column("broken", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_workers"),
    **OPTIONS,
)
sa.Table(
    "kernel_service_keys",
    metadata,
    sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("secret", token(64), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_service_keys"),
    **OPTIONS,
)
sa.Table(
    "kernel_process_metrics",
    metadata,
    sa.Column("id", token(36), nullable=False),
    sa.Column("written_at", UTCDateTime(), nullable=False),
    sa.Column("series", long_text(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_process_metrics"),
    **OPTIONS,
)
sa.Table(
    "kernel_api_keys",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("prefix", token(16), nullable=False),
    sa.Column("key_hash", token(64), nullable=False),
    sa.Column("scopes", token(100), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("expires_at", UTCDateTime(), nullable=True),
    sa.Column("revoked_at", UTCDateTime(), nullable=True),
    sa.Column("used_at", UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_api_keys_caller_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_api_keys"),
    sa.UniqueConstraint("key_hash", name="uq_kernel_api_keys_key_hash"),
    sa.Index("ix_kernel_api_keys_caller_id", "caller_id"),
    **OPTIONS,
)
sa.Table(
    "kernel_orders",
    metadata,
    sa.Column("id", token(36), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("select_tag", token(100), nullable=False),
    sa.Column("args", long_text(), nullable=False),
    sa.Column("callback_url", token(2048), nullable=False),
    sa.Column("idempotency_key", token(255), nullable=True),
    sa.Column("fingerprint", token(64), nullable=False),
    sa.Column("request_id", token(64), nullable=True),
    sa.Column("traceparent", token(55), nullable=True),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("state", token(16), nullable=False),
    sa.Column("run_after", UTCDateTime(), nullable=False),
    sa.Column("run", sa.Integer(), nullable=False),
    sa.Column("checkpoint", sa.Integer(), nullable=False),
    sa.Column("crashes", sa.Integer(), nullable=False),
    sa.Column("lease_until", UTCDateTime(), nullable=True),
    sa.Column("connection_id", sa.BigInteger(), nullable=True),
    sa.Column("cancel_requested_at", UTCDateTime(), nullable=True),
    sa.Column("progress_current", sa.BigInteger(), nullable=True),
    sa.Column("progress_total", sa.BigInteger(), nullable=True),
    sa.Column("progress_note", sa.String(length=1000), nullable=True),
    sa.Column("run_state", long_text(), nullable=True),
    sa.Column("started_at", UTCDateTime(), nullable=True),
    sa.Column("finished_at", UTCDateTime(), nullable=True),
    sa.Column("message", sa.String(length=1000), nullable=True),
    sa.Column("result", long_text(), nullable=True),
    sa.Column("error_code", token(64), nullable=True),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_orders_caller_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_orders"),
    sa.UniqueConstraint(
        "caller_id", "idempotency_key", name="uq_kernel_orders_caller_id_idempotency_key"
    ),
    sa.Index("ix_kernel_orders_caller_id_id", "caller_id", "id"),
    sa.Index("ix_kernel_orders_finished_at", "finished_at"),
    sa.Index("ix_kernel_orders_state_id", "state", "id"),
    sa.Index("ix_kernel_orders_state_run_after", "state", "run_after"),
    **OPTIONS,
)
sa.Table(
    "kernel_pauses",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("host", token(300), nullable=True),
    sa.Column("caller_id", sa.Integer(), nullable=True),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_pauses_caller_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_pauses"),
    sa.UniqueConstraint("caller_id", name="uq_kernel_pauses_caller_id"),
    sa.UniqueConstraint("host", name="uq_kernel_pauses_host"),
    **OPTIONS,
)
signing_secrets = sa.Table(
    "kernel_signing_secrets",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("secret", token(128), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("expires_at", UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_signing_secrets_caller_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_signing_secrets"),
    sa.Index("ix_kernel_signing_secrets_caller_id", "caller_id"),
    **OPTIONS,
)
sa.Table(
    "kernel_deliveries",
    metadata,
    sa.Column("id", token(36), nullable=False),
    sa.Column("order_id", token(36), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("origin", token(300), nullable=False),
    sa.Column("url", token(2048), nullable=False),
    sa.Column("body", long_bytes(), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("state", token(16), nullable=False),
    sa.Column("next_attempt_at", UTCDateTime(), nullable=False),
    sa.Column("late", sa.Boolean(), nullable=False),
    sa.Column("claim_token", token(36), nullable=True),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("tries", sa.Integer(), nullable=False),
    sa.Column("client_errors", sa.Integer(), nullable=False),
    sa.Column("finished_at", UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_deliveries_caller_id"
    ),
    sa.ForeignKeyConstraint(
        ["order_id"], ["kernel_orders.id"], name="fk_kernel_deliveries_order_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_deliveries"),
    sa.Index("ix_kernel_deliveries_caller_id_id", "caller_id", "id"),
    sa.Index("ix_kernel_deliveries_order_id", "order_id"),
    sa.Index("ix_kernel_deliveries_state_finished_at", "state", "finished_at"),
    sa.Index(
        "ix_kernel_deliveries_state_late_caller_id_origin_next_attempt_at",
        "state",
        "late",
        "caller_id",
        "origin",
        "next_attempt_at",
    ),
    **OPTIONS,
)
sa.Table(
    "kernel_attempts",
    metadata,
    sa.Column("id", serial(), autoincrement=True, nullable=False),
    sa.Column("delivery_id", token(36), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("started_at", UTCDateTime(), nullable=False),
    sa.Column("duration_ms", sa.Integer(), nullable=False),
    sa.Column("status", sa.Integer(), nullable=True),
    sa.Column("reason", token(16), nullable=True),
    sa.Column("phases", sa.String(length=255), nullable=False),
    sa.Column("excerpt", sa.String(length=1000), nullable=True),
    sa.ForeignKeyConstraint(
        ["delivery_id"], ["kernel_deliveries.id"], name="fk_kernel_attempts_delivery_id"
    ),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_attempts"),
    sa.Index("ix_kernel_attempts_delivery_id", "delivery_id"),
    **OPTIONS,
)


def upgrade() -> None:
    rename_tables(metadata.sorted_tables)
    for table in metadata.sorted_tables:
        make_table(table)
    _add_anonymous()


def _add_anonymous() -> None:
    """Orders without credentials have an owner too, and its callbacks are signed."""
    anonymous = sa.select(callers.c.id).where(callers.c.name == "anonymous")
    if op.get_bind().scalar(anonymous) is not None:
        return
    now = datetime.now(UTC)
    op.bulk_insert(
        callers,
        [
            {
                "id": 1,
                "name": "anonymous",
                "created_at": now,
                "allow_nets": "[]",
                "allow_hosts": "[]",
                "headers": "{}",
            }
        ],
    )
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    op.bulk_insert(signing_secrets, [{"caller_id": 1, "secret": secret, "created_at": now}])


def downgrade() -> None:
    for table in reversed(metadata.sorted_tables):
        drop_table(table.name)
