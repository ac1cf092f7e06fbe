"""Indexes for pages of orders by kind and state.

Revision ID: 0004
Revises: 0003
"""

from kernel.db.schema.steps import drop_index, make_index

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BY_KIND = ["state", "select_tag", "id"]


BY_CALLER_AND_KIND = ["caller_id", *BY_KIND]


def upgrade() -> None:
    make_index("ix_kernel_orders_state_select_tag_id", "kernel_orders", BY_KIND)
    name = "ix_kernel_orders_caller_id_state_select_tag_id"
    make_index(name, "kernel_orders", BY_CALLER_AND_KIND)


def downgrade() -> None:
    drop_index("ix_kernel_orders_caller_id_state_select_tag_id", "kernel_orders")
    drop_index("ix_kernel_orders_state_select_tag_id", "kernel_orders")
