"""The table of the built-in handlers, unless the original system has made it already.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa

from kernel.db.columns import UTCDateTime
from kernel.db.schema.steps import make_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


projects = sa.Table(
    "project_tb_project",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("projname", sa.String(length=255), nullable=False),
    sa.Column("prodesc", sa.Text(), nullable=False),
    sa.Column("projctime", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_project_tb_project"),
    **OPTIONS,
)


def upgrade() -> None:
    make_table(projects)


def downgrade() -> None:
    """Keep the table: the projects in it are the users', and may be older than kernel."""
