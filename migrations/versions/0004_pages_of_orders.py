"""Indexes for pages of orders by kind and state.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BY_KIND = ["state", "select_tag", "id"]


def upgrade() -> None:
    op.create_index(op.f("ix_orders_state_select_tag_id"), "orders", BY_KIND)
    name = op.f("ix_orders_caller_id_state_select_tag_id")
    op.create_index(name, "orders", ["caller_id", *BY_KIND])


def downgrade() -> None:
    op.drop_index(op.f("ix_orders_caller_id_state_select_tag_id"), table_name="orders")
    op.drop_index(op.f("ix_orders_state_select_tag_id"), table_name="orders")
