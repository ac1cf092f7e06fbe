"""Bulk acts, what they have left as it was, and which orders were run again as others.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, short_text, token
from kernel.db.schema.steps import drop_table, look, make_table
from kernel.errors import Conflict

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def _flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _jobs() -> sa.Table:
    table = sa.Table(
        "kernel_bulk_jobs",
        sa.MetaData(),
        sa.Column("id", token(36), nullable=False),
        sa.Column("kind", token(16), nullable=False),
        sa.Column("wanted", long_text(), nullable=False),
        _flag("again"),
        _flag("reshaped"),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("actor", short_text(200), nullable=False),
        sa.Column("via", token(16), nullable=False),
        sa.Column("address", short_text(255), nullable=True),
        sa.Column("key_prefix", token(16), nullable=True),
        sa.Column("reason", short_text(500), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("state", token(16), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=True),
        _flag("counted_all"),
        sa.Column("until_id", token(36), nullable=False),
        sa.Column("place", token(100), nullable=True),
        _count("done"),
        _count("left_out"),
        sa.Column("next_at", UTCDateTime(), nullable=False),
        sa.Column("claim_token", token(36), nullable=True),
        sa.Column("lease_until", UTCDateTime(), nullable=True),
        sa.Column("last_error", short_text(500), nullable=True),
        _count("failures"),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("ended_by", short_text(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_kernel_bulk_jobs"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_bulk_jobs_state_next_at", table.c.state, table.c.next_at)
    return table


def _left() -> sa.Table:
    return sa.Table(
        "kernel_bulk_left",
        sa.MetaData(),
        sa.Column("job_id", token(36), nullable=False),
        sa.Column("item_id", token(36), nullable=False),
        sa.Column("code", token(64), nullable=False),
        sa.Column("said", short_text(255), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "item_id", name="pk_kernel_bulk_left"),
        **OPTIONS,
    )


def _reruns() -> sa.Table:
    table = sa.Table(
        "kernel_reruns",
        sa.MetaData(),
        sa.Column("order_id", token(36), nullable=False),
        sa.Column("new_id", token(36), nullable=False),
        sa.Column("job_id", token(36), nullable=True),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_kernel_reruns"),
        **OPTIONS,
    )
    sa.Index("ix_kernel_reruns_job_id_order_id", table.c.job_id, table.c.order_id)
    return table


def upgrade() -> None:
    reruns = _reruns()
    for table in (_jobs(), _left(), reruns):
        make_table(table)
    gates = sa.table("kernel_gates", sa.column("order_id"), sa.column("rerun_of"))
    orders = sa.table("kernel_orders", sa.column("id"), sa.column("created_at"))
    # The latest, where an order was run again more than once.
    known = sa.select(
        gates.c.rerun_of, sa.func.max(gates.c.order_id), sa.func.max(orders.c.created_at)
    )
    known = known.join_from(gates, orders, orders.c.id == gates.c.order_id)
    known = known.where(
        gates.c.rerun_of.is_not(None), gates.c.rerun_of.not_in(sa.select(reruns.c.order_id))
    )
    names = ["order_id", "new_id", "made_at"]
    op.execute(reruns.insert().from_select(names, known.group_by(gates.c.rerun_of)))


def downgrade() -> None:
    """Refuse while bulk acts are under way: the release before would never end them."""
    if look().has_table("kernel_bulk_jobs"):
        jobs = sa.table("kernel_bulk_jobs", sa.column("state"))
        live = sa.select(sa.func.count()).where(jobs.c.state == "running")
        if op.get_bind().scalar(live):
            raise Conflict("kernel_bulk_jobs holds acts under way: let them end, or abort them")
    for name in ("kernel_reruns", "kernel_bulk_left", "kernel_bulk_jobs"):
        drop_table(name)
