"""Since when sweeps have followed each other without a gap.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa

from kernel.db.columns import UTCDateTime
from kernel.db.schema.steps import add_column, drop_column

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = ("unbroken_since", "unbroken_until")


def upgrade() -> None:
    for name in COLUMNS:
        add_column("kernel_sweeps", sa.Column(name, UTCDateTime(), nullable=True))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        drop_column("kernel_sweeps", name)
