"""What orders are told from outside, and which of it has ended a wait.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, serial, short_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = sa.Table(
        "kernel_events",
        sa.MetaData(),
        sa.Column("id", serial(), autoincrement=True, nullable=False),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("name", token(100), nullable=False),
        sa.Column("data", long_text(), nullable=False),
        sa.Column("told_key", token(260), nullable=True),
        sa.Column("told_by", short_text(200), nullable=False),
        sa.Column("told_at", UTCDateTime(), nullable=False),
        sa.Column("is_used", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kernel_events"),
        sa.UniqueConstraint("order_id", "told_key", name="uq_kernel_events_order_id_told_key"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_events_order_id_id", table.c.order_id, table.c.id)
    make_table(table)


def downgrade() -> None:
    drop_table("kernel_events")
