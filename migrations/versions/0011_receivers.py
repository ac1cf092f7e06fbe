"""Receivers, and the versions of their shapes. Callers' headers become drafts of receivers.

Headers went to any host that an order named. They become a draft for each https origin that the
caller's callbacks have gone to, and its callbacks are held until an operator has confirmed or
removed the drafts. The column stays empty: the release before reads it.

Revision ID: 0011
Revises: 0010
"""

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from kernel.db.columns import OPTIONS, UTCDateTime, long_text, token
from kernel.db.schema.steps import add_column, drop_column, drop_table, make_table
from kernel.errors import AddressRefused
from kernel.transport.addresses import origin_of

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

metadata = sa.MetaData()
# So that the foreign keys below find it.
sa.Table("kernel_callers", metadata, sa.Column("id", sa.Integer(), primary_key=True))
receivers = sa.Table(
    "kernel_receivers",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("name", token(100), nullable=False),
    sa.Column("url", token(2048), nullable=False),
    sa.Column("origin", token(300), nullable=False),
    sa.Column("is_draft", sa.Boolean(), nullable=False),
    sa.Column("credentials", long_text(), nullable=False),
    sa.Column("ca_pem", long_text(), nullable=True),
    sa.Column("terms", sa.Text(), nullable=False),
    sa.Column("rate_free_at", UTCDateTime(), nullable=True),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_receivers"),
    sa.UniqueConstraint("caller_id", "name", name="uq_kernel_receivers_caller_id_name"),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_receivers_caller_id"
    ),
    **OPTIONS,
)
shapes = sa.Table(
    "kernel_shapes",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("caller_id", sa.Integer(), nullable=False),
    sa.Column("receiver_id", sa.Integer(), nullable=False),
    sa.Column("name", token(100), nullable=False),
    sa.Column("url", token(2048), nullable=False),
    sa.Column("shape", long_text(), nullable=True),
    sa.Column("variables", sa.Text(), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_kernel_shapes"),
    sa.ForeignKeyConstraint(
        ["caller_id"], ["kernel_callers.id"], name="fk_kernel_shapes_caller_id"
    ),
    **OPTIONS,
)
sa.Index("ix_kernel_shapes_caller_id_id", shapes.c.caller_id, shapes.c.id)
NULLABLE = {
    ("kernel_deliveries", "shapes_until"): sa.Integer(),
    ("kernel_attempts", "judged"): sa.String(255),
    ("kernel_pauses", "reason"): token(32),
}
MARKS = ("is_listed", "has_receivers")
callers = sa.table("kernel_callers", sa.column("id"), sa.column("headers"))
orders = sa.table("kernel_orders", *map(sa.column, ("caller_id", "callback_url", "finished_at")))
deliveries = sa.table("kernel_deliveries", sa.column("caller_id"), sa.column("origin"))
pauses = sa.table(
    "kernel_pauses",
    sa.column("caller_id"),
    sa.column("created_at", UTCDateTime()),
    sa.column("reason"),
)


def upgrade() -> None:
    make_table(receivers)
    make_table(shapes)
    for (table, name), kind in NULLABLE.items():
        add_column(table, sa.Column(name, kind, nullable=True))
    for name in MARKS:
        column = sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        add_column("kernel_callers", column)
    connection = op.get_bind()
    asked = sa.select(callers.c.id, callers.c.headers).where(callers.c.headers != "{}")
    for caller_id, headers in connection.execute(asked).all():
        _make_drafts(connection, caller_id, headers)


def _make_drafts(connection: Any, caller_id: int, headers: str) -> None:
    """Make a caller's drafts, hold its callbacks, and empty its headers last: an interrupted
    migration begins again and finds what it has made."""
    now = datetime.now(UTC)
    made = sa.select(receivers.c.origin).where(receivers.c.caller_id == caller_id)
    known = set(connection.scalars(made))
    origins = sorted(_origins(connection, caller_id)) or [""]
    for number, origin in enumerate(origins, 1):
        if origin in known:
            continue
        values = {
            "caller_id": caller_id,
            "name": f"draft-{number}",
            "url": re.sub(":443$", "", origin) + "/" if origin else "",
            "origin": origin,
            "is_draft": True,
            "credentials": f'{{"headers": {headers}}}',
            "terms": "{}",
            "created_at": now,
        }
        connection.execute(sa.insert(receivers).values(values))
    held = sa.select(pauses.c.caller_id).where(pauses.c.caller_id == caller_id)
    if connection.scalar(held) is None:
        pause = {"caller_id": caller_id, "created_at": now, "reason": "adopt"}
        connection.execute(sa.insert(pauses).values(pause))
    connection.execute(sa.update(callers).where(callers.c.id == caller_id).values(headers="{}"))


def _origins(connection: Any, caller_id: int) -> set[str]:
    """Return the https origins of the caller's deliveries and unfinished orders."""
    sent = sa.select(deliveries.c.origin).where(deliveries.c.caller_id == caller_id).distinct()
    owed = sa.select(orders.c.callback_url).where(
        orders.c.caller_id == caller_id, orders.c.finished_at.is_(None)
    )
    found = set(connection.scalars(sent))
    for url in set(connection.scalars(owed)):
        try:
            found.add(origin_of(url))
        except AddressRefused:
            continue
    return {origin for origin in found if origin.startswith("https://")}


def downgrade() -> None:
    for name in reversed(MARKS):
        drop_column("kernel_callers", name)
    for table, name in reversed(NULLABLE):
        drop_column(table, name)
    drop_table("kernel_shapes")
    drop_table("kernel_receivers")
