"""Limits of tags: what people have set, where orders line up, and who holds a slot.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, name, token
from kernel.db.schema.steps import (
    add_column,
    drop_column,
    drop_index,
    drop_table,
    make_index,
    make_table,
)

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

WAITING = "ix_kernel_gates_waiting_for_accepted_at_order_id"


def _place(table: str, *columns: sa.Column, key: tuple[str, ...] = ()) -> sa.Table:
    return sa.Table(
        table,
        sa.MetaData(),
        sa.Column("tag", token(100), nullable=False),
        sa.Column("value", name(64), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tag", "value", *key, name=f"pk_{table}"),
        **OPTIONS,
    )


def _wanted() -> sa.Column:
    return sa.Column("is_wanted", sa.Boolean(), nullable=False, server_default=sa.false())


def upgrade() -> None:
    limits = sa.Table(
        "kernel_limits",
        sa.MetaData(),
        sa.Column("tag", token(100), nullable=False),
        sa.Column("concurrency", sa.SmallInteger(), nullable=True),
        sa.Column("rate", token(16), nullable=True),
        sa.Column("set_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tag", name="pk_kernel_limits"),
        **OPTIONS,
    )
    lines = _place(
        "kernel_limit_lines",
        sa.Column("free_at", UTCDateTime(), nullable=True),
        sa.Column("turn", token(36), nullable=True),
        _wanted(),
    )
    sa.Index("ix_kernel_limit_lines_is_wanted", lines.c.is_wanted)
    slots = _place(
        "kernel_slots",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("order_id", token(36), nullable=False, server_default=""),
        sa.Column("run", sa.Integer(), nullable=False, server_default="0"),
        _wanted(),
        key=("number",),
    )
    sa.Index("ix_kernel_slots_order_id", slots.c.order_id)
    for table in (limits, lines, slots):
        make_table(table)
    add_column("kernel_gates", sa.Column("accepted_at", UTCDateTime(), nullable=True))
    make_index(WAITING, "kernel_gates", ["waiting_for", "accepted_at", "order_id"])


def downgrade() -> None:
    drop_index(WAITING, "kernel_gates")
    drop_column("kernel_gates", "accepted_at")
    for table in ("kernel_slots", "kernel_limit_lines", "kernel_limits"):
        drop_table(table)
