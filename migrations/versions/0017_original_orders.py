"""Which orders came by the original system's address, whose callbacks speak as that one's did.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa

from kernel.db.schema.steps import add_column, drop_column

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("kernel_orders", sa.Column("is_original", sa.Boolean(), nullable=True))


def downgrade() -> None:
    drop_column("kernel_orders", "is_original")
