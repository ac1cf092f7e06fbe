"""The table of the built-in handlers, unless the original system has made it already.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("project_tb_project"):
        return
    op.create_table(
        "project_tb_project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("projname", sa.String(length=255), nullable=False),
        sa.Column("prodesc", sa.Text(), nullable=False),
        sa.Column("projctime", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_tb_project")),
        **OPTIONS,
    )


def downgrade() -> None:
    """Keep the table: the projects in it are the users', and may be older than kernel."""
