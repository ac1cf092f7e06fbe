"""Since when conditions hold, the rules of who is told of them, and what was told.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def _when(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, UTCDateTime(), nullable=nullable)


def upgrade() -> None:
    make_table(
        sa.Table(
            "kernel_conditions",
            sa.MetaData(),
            sa.Column("key", token(64), nullable=False),
            sa.Column("subject", token(400), nullable=False),
            sa.Column("severity", token(16), nullable=False),
            _when("since"),
            _when("ended_at", nullable=True),
            sa.Column("said", long_text(), nullable=False),
            sa.PrimaryKeyConstraint("key", "subject", name="pk_kernel_conditions"),
            **OPTIONS,
        )
    )
    make_table(
        sa.Table(
            "kernel_notices",
            sa.MetaData(),
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("name", token(100), nullable=False),
            sa.Column("receiver", token(100), nullable=False),
            sa.Column("conditions", sa.Text(), nullable=False),
            sa.Column("recovers", sa.Boolean(), nullable=False),
            _when("created_at"),
            sa.PrimaryKeyConstraint("id", name="pk_kernel_notices"),
            sa.UniqueConstraint("name", name="uq_kernel_notices_name"),
            **OPTIONS,
        )
    )
    make_table(
        sa.Table(
            "kernel_told",
            sa.MetaData(),
            sa.Column("notice_id", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("key", token(64), nullable=False),
            sa.Column("subject", token(400), nullable=False),
            _when("since"),
            _when("told_at"),
            sa.Column("order_id", token(36), nullable=False),
            _when("recovered_at", nullable=True),
            sa.PrimaryKeyConstraint("notice_id", "key", "subject", "since", name="pk_kernel_told"),
            **OPTIONS,
        )
    )


def downgrade() -> None:
    for table in ("kernel_told", "kernel_notices", "kernel_conditions"):
        drop_table(table)
