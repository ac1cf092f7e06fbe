"""Room for secrets that are sealed: a sealed text is about four times as long as the clear one.

Nothing is sealed here: `kernel secrets rotate` does that, beside a service that runs.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

from kernel.config.keyring import MARK
from kernel.db.columns import token
from kernel.db.schema.steps import change_length
from kernel.errors import Conflict

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LENGTH = 512
# Table, column, and the length that it had.
BEFORE = (("kernel_signing_secrets", "secret", 128), ("kernel_service_keys", "secret", 64))
SEALED = (*((table, name) for table, name, _ in BEFORE), ("kernel_receivers", "credentials"))


def upgrade() -> None:
    for table, name, length in BEFORE:
        change_length(table, name, token(length), token(LENGTH))


def downgrade() -> None:
    """Refuse while secrets are sealed: the release before would take them for clear ones."""
    for table, name in SEALED:
        column = sa.column(name)
        asked = sa.select(sa.func.count()).select_from(sa.table(table, column))
        if op.get_bind().scalar(asked.where(column.startswith(MARK))):
            raise Conflict(
                f"{table}.{name} holds sealed secrets, which older releases cannot open: "
                "run `kernel secrets rotate --to-clear` first, and remove the key"
            )
    for table, name, length in BEFORE:
        change_length(table, name, token(LENGTH), token(length))
