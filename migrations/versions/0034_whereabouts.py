"""Where a process lives, for others on the same machine to see that it is gone.

A process of the release before writes its row without it: its orders wait for their leases.

Revision ID: 0034
Revises: 0033
"""

import sqlalchemy as sa

from kernel.db.columns import token
from kernel.db.schema.steps import add_column, drop_column

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("kernel_workers", sa.Column("whereabouts", token(200), nullable=True))


def downgrade() -> None:
    drop_column("kernel_workers", "whereabouts")
