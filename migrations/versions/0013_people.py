"""People with roles, their keys, and sessions on the dashboard, a row each.

Sessions of the release before were sealed cookies without a row: their owners sign in again.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa

from kernel.db.columns import OPTIONS, UTCDateTime, name, short_text, token
from kernel.db.schema.steps import (
    add_column,
    drop_column,
    drop_index,
    drop_table,
    make_index,
    make_table,
)

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

metadata = sa.MetaData()
# So that the foreign key below finds it.
sa.Table("kernel_api_keys", metadata, sa.Column("id", sa.Integer(), primary_key=True))
people = sa.Table(
    "kernel_people",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("name", name(100), nullable=False),
    sa.Column("role", token(16), nullable=False),
    sa.Column("issuer", token(255), nullable=True),
    sa.Column("subject", token(255), nullable=True),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("disabled_at", UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_people"),
    sa.UniqueConstraint("name", name="uq_kernel_people_name"),
    sa.UniqueConstraint("issuer", "subject", name="uq_kernel_people_issuer_subject"),
    **OPTIONS,
)
sessions = sa.Table(
    "kernel_sessions",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("token_hash", token(64), nullable=False),
    sa.Column("person_id", sa.Integer(), nullable=True),
    sa.Column("key_id", sa.Integer(), nullable=True),
    sa.Column("address", short_text(64), nullable=False),
    sa.Column("agent", short_text(255), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.Column("seen_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_sessions"),
    sa.UniqueConstraint("token_hash", name="uq_kernel_sessions_token_hash"),
    sa.ForeignKeyConstraint(
        ["person_id"], ["kernel_people.id"], name="fk_kernel_sessions_person_id"
    ),
    sa.ForeignKeyConstraint(["key_id"], ["kernel_api_keys.id"], name="fk_kernel_sessions_key_id"),
    **OPTIONS,
)
sa.Index("ix_kernel_sessions_person_id", sessions.c.person_id)
sa.Index("ix_kernel_sessions_key_id", sessions.c.key_id)
KEYS, INDEX = "kernel_api_keys", "ix_kernel_api_keys_person_id"


def upgrade() -> None:
    make_table(people)
    make_table(sessions)
    add_column(KEYS, sa.Column("person_id", sa.Integer(), nullable=True))
    make_index(INDEX, KEYS, ["person_id"])


def downgrade() -> None:
    drop_index(INDEX, KEYS)
    drop_column(KEYS, "person_id")
    drop_table("kernel_sessions")
    drop_table("kernel_people")
