"""By what name an installation's queue is told from those of others. A process makes the row.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    make_table(
        sa.Table(
            "kernel_installation",
            sa.MetaData(),
            sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("name", token(16), nullable=False),
            sa.Column("created_at", UTCDateTime(), nullable=False),
            sa.PrimaryKeyConstraint("id", name="pk_kernel_installation"),
            **OPTIONS,
        )
    )


def downgrade() -> None:
    drop_table("kernel_installation")
