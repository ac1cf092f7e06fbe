"""What the dashboard reads: minutes, half-open breakers, attempts by time.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
BY_TIME = "ix_attempts_started_at_reason"


def upgrade() -> None:
    op.create_table(
        "minutes",
        sa.Column("began_at", UTCDateTime(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("finished", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("took", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("began_at", name=op.f("pk_minutes")),
        **OPTIONS,
    )
    op.add_column("workers", sa.Column("probing", sa.Text(), nullable=True))
    op.create_index(op.f(BY_TIME), "attempts", ["started_at", "reason"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f(BY_TIME), table_name="attempts")
    op.drop_column("workers", "probing")
    op.drop_table("minutes")
