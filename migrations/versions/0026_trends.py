"""Counts by tag, caller, receiver and host, and marks on their charts. Minutes are carried over.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import OPTIONS, UTCDateTime, serial, short_text, token
from kernel.db.schema.steps import drop_table, look, make_table

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

CARRIED = ("began_at", "accepted", "finished", "attempts", "delivered", "took")


def _counts() -> sa.Table:
    counts = ("accepted", "finished", "attempts", "delivered", "dead")
    told = ("states", "reasons", "took", "queued", "ran", "delivered_in", "answered_in")
    table = sa.Table(
        "kernel_counts",
        sa.MetaData(),
        sa.Column("width", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("kind", token(16), nullable=False),
        sa.Column("name", token(300), nullable=False),
        sa.Column("began_at", UTCDateTime(), nullable=False),
        *(sa.Column(one, sa.Integer(), nullable=False) for one in counts),
        *(sa.Column(one, sa.Text(), nullable=False) for one in told),
        sa.PrimaryKeyConstraint("width", "kind", "name", "began_at", name="pk_kernel_counts"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_counts_width_began_at", table.c.width, table.c.began_at)
    return table


def _marks() -> sa.Table:
    table = sa.Table(
        "kernel_annotations",
        sa.MetaData(),
        sa.Column("id", serial(), nullable=False, autoincrement=True),
        sa.Column("kind", token(16), nullable=False),
        sa.Column("subject", short_text(400), nullable=False),
        sa.Column("began_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_kernel_annotations"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_annotations_began_at", table.c.began_at)
    sa.Index("ix_kernel_annotations_kind_ended_at", table.c.kind, table.c.ended_at)
    return table


def upgrade() -> None:
    counts = _counts()
    make_table(counts)
    make_table(_marks())
    if look().has_table("kernel_minutes"):
        _carry(counts)


def _carry(counts: sa.Table) -> None:
    """Take the minutes that were counted into the new table, those that are not there yet."""
    minutes = sa.table("kernel_minutes", *(sa.column(one) for one in CARRIED))
    there = sa.select(counts.c.began_at).where(
        counts.c.width == 1, counts.c.kind == "all", counts.c.began_at == minutes.c.began_at
    )
    given = {
        "width": sa.literal(1),
        "kind": sa.literal("all"),
        "name": sa.literal(""),
        "dead": sa.literal(0),
    } | dict.fromkeys(
        ("states", "reasons", "queued", "ran", "delivered_in", "answered_in"), sa.literal("{}")
    )
    rows = sa.select(*given.values(), *minutes.c).where(~there.exists())
    op.execute(sa.insert(counts).from_select([*given, *CARRIED], rows))


def downgrade() -> None:
    drop_table("kernel_annotations")
    drop_table("kernel_counts")
