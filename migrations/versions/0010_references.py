"""The caller's own name for an order, and what finds it.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, name, token
from kernel.db.schema.steps import add_column, drop_column, drop_table, make_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("kernel_orders", sa.Column("reference", name(255), nullable=True))
    table = sa.Table(
        "kernel_references",
        sa.MetaData(),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("caller_id", sa.Integer(), nullable=False),
        sa.Column("reference", name(255), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_kernel_references"),
        **OPTIONS,
    )
    sa.Index(
        "ix_kernel_references_reference_caller_id_order_id",
        table.c.reference,
        table.c.caller_id,
        table.c.order_id,
    )
    make_table(table)


def downgrade() -> None:
    drop_table("kernel_references")
    drop_column("kernel_orders", "reference")
