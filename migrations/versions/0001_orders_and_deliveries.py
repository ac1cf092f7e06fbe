"""Callers, orders, deliveries and what belongs to them.

Revision ID: 0001
Revises:
"""

import base64
import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import UTCDateTime, long_bytes, long_text, serial, token

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    callers = op.create_table(
        "callers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", token(100), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("allow_nets", sa.Text(), nullable=False),
        sa.Column("allow_hosts", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callers")),
        sa.UniqueConstraint("name", name=op.f("uq_callers_name")),
        **OPTIONS,
    )
    op.create_table(
        "select_tags",
        sa.Column("tag", token(100), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_select_tags")),
        **OPTIONS,
    )
    op.create_table(
        "sweeps",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("swept_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeps")),
        **OPTIONS,
    )
    op.create_table(
        "workers",
        sa.Column("id", token(36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("kind", token(16), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("running", sa.Text(), nullable=False),
        sa.Column("broken", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        **OPTIONS,
    )
    op.create_table(
        "service_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("secret", token(64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_keys")),
        **OPTIONS,
    )
    op.create_table(
        "process_metrics",
        sa.Column("id", token(36), nullable=False),
        sa.Column("written_at", UTCDateTime(), nullable=False),
        sa.Column("series", long_text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process_metrics")),
        **OPTIONS,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("caller_id", sa.Integer(), nullable=False),
        sa.Column("prefix", token(16), nullable=False),
        sa.Column("key_hash", token(64), nullable=False),
        sa.Column("scopes", token(100), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["caller_id"], ["callers.id"], name=op.f("fk_api_keys_caller_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_api_keys_caller_id"), "api_keys", ["caller_id"], unique=False)
    op.create_table(
        "orders",
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
        sa.ForeignKeyConstraint(["caller_id"], ["callers.id"], name=op.f("fk_orders_caller_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "caller_id", "idempotency_key", name=op.f("uq_orders_caller_id_idempotency_key")
        ),
        **OPTIONS,
    )
    op.create_index(op.f("ix_orders_caller_id_id"), "orders", ["caller_id", "id"], unique=False)
    op.create_index(op.f("ix_orders_finished_at"), "orders", ["finished_at"], unique=False)
    op.create_index(op.f("ix_orders_state_id"), "orders", ["state", "id"], unique=False)
    op.create_index(
        op.f("ix_orders_state_run_after"), "orders", ["state", "run_after"], unique=False
    )
    op.create_table(
        "pauses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", token(300), nullable=True),
        sa.Column("caller_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["caller_id"], ["callers.id"], name=op.f("fk_pauses_caller_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        sa.UniqueConstraint("caller_id", name=op.f("uq_pauses_caller_id")),
        sa.UniqueConstraint("host", name=op.f("uq_pauses_host")),
        **OPTIONS,
    )
    signing_secrets = op.create_table(
        "signing_secrets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("caller_id", sa.Integer(), nullable=False),
        sa.Column("secret", token(128), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["caller_id"], ["callers.id"], name=op.f("fk_signing_secrets_caller_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_secrets")),
        **OPTIONS,
    )
    op.create_index(
        op.f("ix_signing_secrets_caller_id"), "signing_secrets", ["caller_id"], unique=False
    )
    op.create_table(
        "deliveries",
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
            ["caller_id"], ["callers.id"], name=op.f("fk_deliveries_caller_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_deliveries_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        **OPTIONS,
    )
    op.create_index(
        op.f("ix_deliveries_caller_id_id"), "deliveries", ["caller_id", "id"], unique=False
    )
    op.create_index(op.f("ix_deliveries_order_id"), "deliveries", ["order_id"], unique=False)
    op.create_index(
        op.f("ix_deliveries_state_finished_at"),
        "deliveries",
        ["state", "finished_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_deliveries_state_late_caller_id_origin_next_attempt_at"),
        "deliveries",
        ["state", "late", "caller_id", "origin", "next_attempt_at"],
        unique=False,
    )
    op.create_table(
        "attempts",
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
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_attempts_delivery_id"), "attempts", ["delivery_id"], unique=False)
    _add_anonymous(callers, signing_secrets)


def _add_anonymous(callers: sa.Table, signing_secrets: sa.Table) -> None:
    """Orders without credentials have an owner too, and its callbacks are signed."""
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
    for name in (
        "attempts",
        "deliveries",
        "pauses",
        "signing_secrets",
        "orders",
        "api_keys",
        "service_keys",
        "workers",
        "sweeps",
        "select_tags",
        "process_metrics",
        "callers",
    ):
        op.drop_table(name)
