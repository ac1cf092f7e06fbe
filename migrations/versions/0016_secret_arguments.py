"""Secret arguments of orders, sealed in a column of their own.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import long_text
from kernel.db.schema.steps import add_column, drop_column, has_column
from kernel.errors import Conflict

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

orders = sa.table("kernel_orders", sa.column("secret_args"), sa.column("finished_at"))


def upgrade() -> None:
    add_column("kernel_orders", sa.Column("secret_args", long_text(), nullable=True))


def downgrade() -> None:
    """Refuse while live orders have secrets: the release before would run them with the mask."""
    asked = sa.select(sa.func.count()).select_from(orders)
    live = orders.c.secret_args.is_not(None) & orders.c.finished_at.is_(None)
    if has_column("kernel_orders", "secret_args") and op.get_bind().scalar(asked.where(live)):
        raise Conflict(
            "kernel_orders.secret_args holds secrets of orders that have not ended: "
            "let them end, or cancel them"
        )
    drop_column("kernel_orders", "secret_args")
