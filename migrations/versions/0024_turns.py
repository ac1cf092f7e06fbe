"""Whose turn it is: an order's priority, an index by caller and priority, how many may run at once.

The new index is there before the old one goes, and the column has its default in the table's
definition: a release beside this one inserts orders and finds what is due all the while.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS
from kernel.db.schema.steps import (
    add_column,
    drop_column,
    drop_index,
    drop_table,
    make_index,
    make_table,
)

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ORDERS = "kernel_orders"
OLD, NEW = "ix_kernel_orders_state_run_after", "ix_kernel_orders_state_caller_id_priority_run_after"


def upgrade() -> None:
    priority = sa.Column("priority", sa.SmallInteger(), nullable=False, server_default="0")
    add_column(ORDERS, priority)
    make_index(NEW, ORDERS, ["state", "caller_id", "priority", "run_after"])
    drop_index(OLD, ORDERS)
    table = sa.Table(
        "kernel_shares",
        sa.MetaData(),
        sa.Column("caller_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("caller_id", name="pk_kernel_shares"),
        **OPTIONS,
    )
    make_table(table)


def downgrade() -> None:
    drop_table("kernel_shares")
    make_index(OLD, ORDERS, ["state", "run_after"])
    drop_index(NEW, ORDERS)
    drop_column(ORDERS, "priority")
