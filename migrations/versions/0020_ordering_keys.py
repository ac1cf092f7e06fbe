"""Ordering keys: whose turn it is, and pages of the orders of one key.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, name, token
from kernel.db.schema.steps import drop_index, drop_table, make_index, make_table

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LISTED = ("ordering_key", "caller_id", "order_id")
LISTED_INDEX = f"ix_kernel_gates_{'_'.join(LISTED)}"


def upgrade() -> None:
    table = sa.Table(
        "kernel_keys",
        sa.MetaData(),
        sa.Column("caller_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("ordering_key", name(255), nullable=False),
        sa.Column("tail", sa.BigInteger(), nullable=False),
        sa.Column("holder", token(36), nullable=True),
        sa.PrimaryKeyConstraint("caller_id", "ordering_key", name="pk_kernel_keys"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_keys_holder", table.c.holder)
    make_table(table)
    make_index(LISTED_INDEX, "kernel_gates", list(LISTED))


def downgrade() -> None:
    drop_index(LISTED_INDEX, "kernel_gates")
    drop_table("kernel_keys")
