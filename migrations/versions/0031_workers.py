"""What processes run, since when and for how long; what people ask of them; hosts that are drained.

A process of the release before writes its row without these columns, and obeys nothing.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, name, short_text, token
from kernel.db.schema.steps import add_column, drop_column, drop_table, make_table

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

COLUMNS = (
    ("version", token(64)),
    ("pool", token(32)),
    ("runs", long_text()),
    ("quiet", sa.Boolean()),
    ("asked", token(16)),
    ("asked_at", UTCDateTime()),
)


def upgrade() -> None:
    for column, kind in COLUMNS:
        add_column("kernel_workers", sa.Column(column, kind, nullable=True))
    make_table(
        sa.Table(
            "kernel_drained_hosts",
            sa.MetaData(),
            sa.Column("host", name(255), nullable=False),
            sa.Column("since", UTCDateTime(), nullable=False),
            sa.Column("by_whom", name(200), nullable=False),
            sa.Column("why", short_text(500), nullable=True),
            sa.PrimaryKeyConstraint("host", name="pk_kernel_drained_hosts"),
            **OPTIONS,
        )
    )


def downgrade() -> None:
    drop_table("kernel_drained_hosts")
    for column, _ in reversed(COLUMNS):
        drop_column("kernel_workers", column)
