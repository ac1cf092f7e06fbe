"""Who changed what: acts, the seals over them, and counts of refused keys.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, serial, short_text, token
from kernel.db.schema.steps import drop_table, make_table

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

metadata = sa.MetaData()
acts = sa.Table(
    "kernel_acts",
    metadata,
    sa.Column("id", serial(), nullable=False),
    sa.Column("at", UTCDateTime(), nullable=False),
    sa.Column("actor", short_text(200), nullable=False),
    sa.Column("via", token(16), nullable=False),
    sa.Column("address", short_text(255), nullable=True),
    sa.Column("key_prefix", token(16), nullable=True),
    sa.Column("verb", token(40), nullable=False),
    sa.Column("target", short_text(255), nullable=False),
    sa.Column("before", long_text(), nullable=True),
    sa.Column("after", long_text(), nullable=True),
    sa.Column("reason", short_text(500), nullable=True),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_acts"),
    **OPTIONS,
)
for _name in ("at", "actor", "verb", "target"):
    sa.Index(f"ix_kernel_acts_{_name}", acts.c[_name])
seals = sa.Table(
    "kernel_act_seals",
    metadata,
    sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("sealed_at", UTCDateTime(), nullable=False),
    sa.Column("last_id", sa.BigInteger(), nullable=False),
    sa.Column("digests", long_text(), nullable=False),
    sa.Column("previous", token(64), nullable=False),
    sa.Column("hash", token(64), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_act_seals"),
    **OPTIONS,
)
refused = sa.Table(
    "kernel_refused_keys",
    metadata,
    sa.Column("minute", UTCDateTime(), nullable=False),
    sa.Column("network", token(64), nullable=False),
    sa.Column("prefix", token(16), nullable=False),
    sa.Column("count", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("minute", "network", "prefix", name="pk_kernel_refused_keys"),
    **OPTIONS,
)
TABLES = (acts, seals, refused)


def upgrade() -> None:
    for table in TABLES:
        make_table(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        drop_table(table.name)
