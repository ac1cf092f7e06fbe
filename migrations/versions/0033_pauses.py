"""Pauses of orders and of receivers, each with who, why and until when; hosts in one spelling.

A host that was typed otherwise than addresses are spelled has held nothing. From now on it holds
what its writer meant; what is no host at all goes.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import UTCDateTime, short_text, token
from kernel.db.schema.steps import add_column, drop_column, drop_index, make_index
from kernel.formats.hosts import read_host

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLE = "kernel_pauses"
PAUSES = sa.table(TABLE, sa.column("id"), sa.column("host"), sa.column("caller_id"))
# What may be paused from now on, each at most once.
SUBJECTS = {"receiver_id": sa.Integer(), "tag": token(100), "orders_of": sa.Integer()}
TOLD = {"until": UTCDateTime(), "by_whom": short_text(200), "why": short_text(500)}


def upgrade() -> None:
    for name, kind in (SUBJECTS | TOLD).items():
        add_column(TABLE, sa.Column(name, kind, nullable=True))
    for name in SUBJECTS:
        make_index(f"ix_{TABLE}_{name}", TABLE, [name], unique=True)
    _spell_hosts()


def downgrade() -> None:
    # The code before would show such a row as one of no host and no caller.
    new = PAUSES.c.host.is_(None) & PAUSES.c.caller_id.is_(None)
    op.execute(sa.delete(PAUSES).where(new))
    for name in SUBJECTS:
        drop_index(f"ix_{TABLE}_{name}", TABLE)
    for name in SUBJECTS | TOLD:
        drop_column(TABLE, name)


def _spell_hosts() -> None:
    """Spell hosts as pauses are compared; of several that mean one, the oldest stays."""
    bind = op.get_bind()
    asked = sa.select(PAUSES.c.id, PAUSES.c.host).where(PAUSES.c.host.is_not(None))
    rows = bind.execute(asked.order_by(PAUSES.c.id)).all()
    spelled = {row.id: _spelled(row.host) for row in rows}
    first = {host: id_ for id_, host in reversed(spelled.items()) if host is not None}
    for row in rows:
        this = PAUSES.c.id == row.id
        if first.get(spelled[row.id]) != row.id:
            bind.execute(sa.delete(PAUSES).where(this))
    for row in rows:
        host = spelled[row.id]
        if first.get(host) == row.id and host != row.host:
            bind.execute(sa.update(PAUSES).where(PAUSES.c.id == row.id).values(host=host))


def _spelled(host: str) -> str | None:
    try:
        return read_host(host)
    except ValueError:
        return None
