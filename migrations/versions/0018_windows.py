"""When an order may begin: not before, and not after, and what finds the orders that wait for it.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, token
from kernel.db.schema.steps import add_column, drop_column, drop_table, make_table

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = ("not_before", "not_after")


def upgrade() -> None:
    for name in COLUMNS:
        add_column("kernel_orders", sa.Column(name, UTCDateTime(), nullable=True))
    table = sa.Table(
        "kernel_gates",
        sa.MetaData(),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("caller_id", sa.Integer(), nullable=False),
        sa.Column("opens_at", UTCDateTime(), nullable=True),
        sa.Column("closes_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name="pk_kernel_gates"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_gates_caller_id_opens_at", table.c.caller_id, table.c.opens_at)
    sa.Index("ix_kernel_gates_closes_at", table.c.closes_at)
    make_table(table)


def downgrade() -> None:
    drop_table("kernel_gates")
    for name in COLUMNS:
        drop_column("kernel_orders", name)
