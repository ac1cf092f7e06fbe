"""What the dashboard reads: minutes, half-open breakers, attempts by time.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa

from kernel.db.columns import UTCDateTime
from kernel.db.schema.steps import (
    add_column,
    drop_column,
    drop_index,
    drop_table,
    make_index,
    make_table,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
BY_TIME = "ix_kernel_attempts_started_at_reason"

minutes = sa.Table(
    "kernel_minutes",
    sa.MetaData(),
    sa.Column("began_at", UTCDateTime(), nullable=False),
    sa.Column("accepted", sa.Integer(), nullable=False),
    sa.Column("finished", sa.Integer(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("delivered", sa.Integer(), nullable=False),
    sa.Column("took", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("began_at", name="pk_kernel_minutes"),
    **OPTIONS,
)


def upgrade() -> None:
    make_table(minutes)
    add_column("kernel_workers", sa.Column("probing", sa.Text(), nullable=True))
    make_index(BY_TIME, "kernel_attempts", ["started_at", "reason"])


def downgrade() -> None:
    drop_index(BY_TIME, "kernel_attempts")
    drop_column("kernel_workers", "probing")
    drop_table("kernel_minutes")
