"""Which process runs an order.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa

from kernel.db.columns import token
from kernel.db.schema.steps import add_column, drop_column

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("kernel_orders", sa.Column("runner", token(36), nullable=True))


def downgrade() -> None:
    drop_column("kernel_orders", "runner")
