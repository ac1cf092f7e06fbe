"""Marks of runs that may have ended their transaction behind the handler's back.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    make_table(
        sa.Table(
            "kernel_run_marks",
            sa.MetaData(),
            sa.Column("order_id", token(36), nullable=False),
            sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
            sa.PrimaryKeyConstraint("order_id", "run", name="pk_kernel_run_marks"),
            **OPTIONS,
        )
    )


def downgrade() -> None:
    drop_table("kernel_run_marks")
