"""Steps of handlers, with their results, and of which order another is the rerun.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, short_text, token
from kernel.db.schema.steps import add_column, drop_column, drop_table, look, make_table
from kernel.errors import Conflict

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("kernel_gates", sa.Column("rerun_of", token(36), nullable=True))
    make_table(
        sa.Table(
            "kernel_steps",
            sa.MetaData(),
            sa.Column("order_id", token(36), nullable=False),
            sa.Column("number", sa.SmallInteger(), nullable=False, autoincrement=False),
            sa.Column("name", token(100), nullable=False),
            sa.Column("attempts", sa.SmallInteger(), nullable=False),
            sa.Column("again", sa.SmallInteger(), nullable=False, server_default="0"),
            sa.Column("started_at", UTCDateTime(), nullable=False),
            sa.Column("duration_ms", sa.BigInteger(), nullable=True),
            sa.Column("error", short_text(1000), nullable=True),
            sa.Column("done_at", UTCDateTime(), nullable=True),
            sa.Column("result", long_text(), nullable=True),
            sa.Column("secret_result", long_text(), nullable=True),
            sa.PrimaryKeyConstraint("order_id", "number", name="pk_kernel_steps"),
            **OPTIONS,
        )
    )


def downgrade() -> None:
    """Refuse while live orders have steps: the release before would do all of them again."""
    if look().has_table("kernel_steps"):
        orders = sa.table("kernel_orders", sa.column("id"), sa.column("finished_at"))
        steps = sa.table("kernel_steps", sa.column("order_id"))
        live = sa.select(sa.func.count()).select_from(
            steps.join(orders, orders.c.id == steps.c.order_id)
        )
        if op.get_bind().scalar(live.where(orders.c.finished_at.is_(None))):
            raise Conflict(
                "kernel_steps holds steps of orders that have not ended: let them end, or "
                "cancel them"
            )
    drop_table("kernel_steps")
    drop_column("kernel_gates", "rerun_of")
