"""Names: first attempts and retries, why a delivery died, and the version in a table of its own.

The tables of an installation from before `kernel_` were renamed by `0001`.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa

from kernel.db.columns import token
from kernel.db.schema.old_names import forget_old_version
from kernel.db.schema.steps import add_column, drop_column, rename_column, rename_index

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OLD = "ix_kernel_deliveries_state_late_caller_id_origin_next_attempt_at"
# Made of its columns the name would be longer than MariaDB's 64 characters.
NEW = "ix_kernel_deliveries_lane_next_attempt_at"


def upgrade() -> None:
    rename_column("kernel_deliveries", "late", "is_retry")
    rename_index("kernel_deliveries", OLD, NEW)
    add_column("kernel_deliveries", sa.Column("died_of", token(32), nullable=True))
    forget_old_version()


def downgrade() -> None:
    """Take the columns back; names that begin with kernel_ stay."""
    drop_column("kernel_deliveries", "died_of")
    rename_index("kernel_deliveries", NEW, OLD)
    rename_column("kernel_deliveries", "is_retry", "late")
