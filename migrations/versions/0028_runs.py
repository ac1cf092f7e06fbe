"""Runs that did not succeed: when each ran, where, and how it ended.

Of orders that are there already nothing is known of runs before the last.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, name, short_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    runs = sa.Table(
        "kernel_runs",
        sa.MetaData(),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("began_at", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=False),
        sa.Column("runner", token(36), nullable=True),
        sa.Column("host", name(255), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("how", token(16), nullable=False),
        sa.Column("error_code", token(64), nullable=True),
        sa.Column("reason", short_text(1000), nullable=True),
        sa.Column("error_type", name(255), nullable=True),
        sa.Column("place", name(255), nullable=True),
        sa.Column("message", short_text(1000), nullable=True),
        sa.Column("traceback", long_text(), nullable=True),
        sa.Column("fingerprint", token(16), nullable=True),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "run", name="pk_kernel_runs"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_runs_fingerprint_order_id", runs.c.fingerprint, runs.c.order_id)
    sa.Index("ix_kernel_runs_is_counted_ended_at", runs.c.is_counted, runs.c.ended_at)
    make_table(runs)


def downgrade() -> None:
    drop_table("kernel_runs")
