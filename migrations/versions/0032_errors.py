"""Failures of one kind, counted: since when, how many in each hour, and whether it is mended.

Failures that are in `kernel_runs` already are counted by the sweeps that follow.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import OPTIONS, UTCDateTime, name, short_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def _when(column: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(column, UTCDateTime(), nullable=nullable)


def _errors() -> sa.Table:
    table = sa.Table(
        "kernel_errors",
        sa.MetaData(),
        sa.Column("fingerprint", token(16), nullable=False),
        sa.Column("select_tag", token(100), nullable=False),
        sa.Column("error_type", name(255), nullable=True),
        sa.Column("place", name(255), nullable=True),
        sa.Column("error_code", token(64), nullable=True),
        sa.Column("is_refusal", sa.Boolean(), nullable=False),
        _when("first_seen"),
        _when("last_seen"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        _when("new_at"),
        _when("resolved_at", nullable=True),
        sa.Column("resolved_by", short_text(200), nullable=True),
        sa.Column("resolved_because", short_text(500), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_kernel_errors"),
        **OPTIONS,
    )
    seen = (table.c.last_seen, table.c.fingerprint)
    sa.Index("ix_kernel_errors_last_seen_fingerprint", *seen)
    sa.Index("ix_kernel_errors_is_open_last_seen_fingerprint", table.c.is_open, *seen)
    sa.Index("ix_kernel_errors_new_at", table.c.new_at)
    return table


def upgrade() -> None:
    make_table(_errors())
    hours = sa.Table(
        "kernel_error_hours",
        sa.MetaData(),
        sa.Column("fingerprint", token(16), nullable=False),
        _when("began_at"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "began_at", name="pk_kernel_error_hours"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_error_hours_began_at", hours.c.began_at)
    make_table(hours)


def downgrade() -> None:
    """Failures that are still there count as not counted: a later upgrade counts them."""
    runs = sa.table("kernel_runs", sa.column("is_counted"), sa.column("fingerprint"))
    anew = runs.update().where(runs.c.fingerprint.is_not(None), runs.c.is_counted == sa.true())
    op.execute(anew.values(is_counted=sa.false()))
    drop_table("kernel_error_hours")
    drop_table("kernel_errors")
