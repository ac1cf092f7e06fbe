"""API keys can be limited to tags and to networks. Keys that are there stay as they are.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa

from kernel.db.schema.steps import add_column, drop_column

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = ("tags", "networks")


def upgrade() -> None:
    for name in COLUMNS:
        add_column("kernel_api_keys", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        drop_column("kernel_api_keys", name)
