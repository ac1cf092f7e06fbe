"""Orders that wait: for what, since when, until when, by which key, and for whose sake.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa

from kernel.db.columns import UTCDateTime, name, token
from kernel.db.schema.steps import add_column, drop_column, drop_index, make_index

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = (
    ("waiting_for", name(255)),
    ("waiting_since", UTCDateTime()),
    ("wakes_at", UTCDateTime()),
    ("ordering_key", name(255)),
    ("place", sa.BigInteger()),
    ("parent_id", token(36)),
)
INDEXES = (
    ("wakes_at",),
    ("caller_id", "waiting_for", "order_id"),
    ("caller_id", "ordering_key", "place"),
    ("parent_id", "order_id"),
)


def upgrade() -> None:
    add_column("kernel_orders", sa.Column("gates", sa.SmallInteger(), nullable=True))
    for column, kind in COLUMNS:
        add_column("kernel_gates", sa.Column(column, kind, nullable=True))
    for columns in INDEXES:
        make_index(f"ix_kernel_gates_{'_'.join(columns)}", "kernel_gates", list(columns))


def downgrade() -> None:
    for columns in INDEXES:
        drop_index(f"ix_kernel_gates_{'_'.join(columns)}", "kernel_gates")
    for column, _ in COLUMNS:
        drop_column("kernel_gates", column)
    drop_column("kernel_orders", "gates")
