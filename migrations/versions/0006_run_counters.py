"""Counters of runs that ended without an outcome: broken, timed out, asked to be run again.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa

from kernel.db.schema.steps import add_column, drop_column

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTERS = {"broken": sa.SmallInteger(), "timeouts": sa.SmallInteger(), "retries": sa.Integer()}


def upgrade() -> None:
    for name, kind in COUNTERS.items():
        column = sa.Column(name, kind, nullable=False, server_default="0")
        add_column("kernel_orders", column)


def downgrade() -> None:
    for name in reversed(COUNTERS):
        drop_column("kernel_orders", name)
