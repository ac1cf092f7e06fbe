"""Recurring orders.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, name, short_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata = sa.MetaData()
    # So that the foreign key below finds it.
    sa.Table("kernel_callers", metadata, sa.Column("id", sa.Integer(), primary_key=True))
    table = sa.Table(
        "kernel_schedules",
        metadata,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", token(100), nullable=False),
        sa.Column("caller_id", sa.Integer(), nullable=False),
        sa.Column("cron", token(100), nullable=False),
        sa.Column("zone", token(64), nullable=False),
        sa.Column("select_tag", token(100), nullable=False),
        sa.Column("args", long_text(), nullable=False),
        sa.Column("callback_url", token(2048), nullable=False),
        sa.Column("reference", name(255), nullable=True),
        sa.Column("catch_up", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("paused_at", UTCDateTime(), nullable=True),
        sa.Column("next_at", UTCDateTime(), nullable=True),
        sa.Column("last_at", UTCDateTime(), nullable=True),
        sa.Column("last_order_id", token(36), nullable=True),
        sa.Column("last_error", short_text(500), nullable=True),
        sa.Column("failed_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_kernel_schedules"),
        sa.UniqueConstraint("name", name="uq_kernel_schedules_name"),
        sa.ForeignKeyConstraint(
            ["caller_id"], ["kernel_callers.id"], name="fk_kernel_schedules_caller_id"
        ),
        **OPTIONS,
    )
    sa.Index("ix_kernel_schedules_caller_id", table.c.caller_id)
    sa.Index("ix_kernel_schedules_next_at", table.c.next_at)
    make_table(table)


def downgrade() -> None:
    drop_table("kernel_schedules")
