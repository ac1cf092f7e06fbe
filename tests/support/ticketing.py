"""Receivers of a caller, as rows in any state, and callbacks that are sent to them for real."""

import json
from typing import Any

from pydantic import SecretStr
from sqlalchemy import insert, select, update

from kernel.callers.credentials import Credentials
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Attempt
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.db.tables.sealed import seal
from kernel.delivery.attempt import FinishedAttempt, attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.record import record
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of
from tests.support.factories import make_delivery

NOTHING = Credentials()
BODY = {"status": 0, "msg": "done", "data": {"reference": "INC1", "state": "success"}}


def make_receiver(
    kernel: Kernel, name: str, url: str, credentials: Credentials = NOTHING, **more: Any
) -> int:
    """Insert a receiver of caller 1, and the first version of its shape; return its id.

    ``shape``: as it is stored. ``ca_pem`` and ``is_draft`` are columns; the rest are its terms.
    """
    shape, columns = more.pop("shape", {}), {}
    for column in ("ca_pem", "is_draft", "caller_id"):
        if column in more:
            columns[column] = more.pop(column)
    row = {"caller_id": 1, "name": name, "url": url, "origin": origin_of(url)} | columns
    row |= {"terms": json.dumps(more)}
    with kernel.write_session() as session:
        row |= {"credentials": seal(session, SecretStr(credentials.to_json()))}
        added = insert(RECEIVERS).values(**row, created_at=kernel.clock.sql())
        found = session.execute(added).inserted_primary_key
        assert found is not None
        mark = update(Caller).where(Caller.id == row["caller_id"])
        session.execute(mark.values(has_receivers=True))
    set_shape(kernel, found[0], shape)
    return int(found[0])


def set_shape(kernel: Kernel, receiver_id: int, shape: dict[str, Any] | None) -> int:
    """Insert a version of a receiver's shape; None removes the receiver from then on."""
    with kernel.write_session() as session:
        found = session.execute(select(RECEIVERS).where(RECEIVERS.c.id == receiver_id)).one()
        row = {"caller_id": found.caller_id, "receiver_id": receiver_id, "name": found.name}
        row |= {"url": found.url, "shape": None if shape is None else json.dumps(shape)}
        added = insert(SHAPES).values(**row, created_at=kernel.clock.sql())
        made = session.execute(added).inserted_primary_key
        assert made is not None
    return int(made[0])


def owe(kernel: Kernel, url: str, **values: Any) -> str:
    """Insert a delivery to ``url`` that knows every shape there is now; return its id."""
    body = json.dumps(BODY | values.pop("told", {})).encode()
    with kernel.read_session() as session:
        ids = session.scalars(select(SHAPES.c.id)).all()
    known = {"shapes_until": max(ids, default=None)}
    if not url.startswith("receiver:"):
        known |= {"origin": origin_of(url)}
    return make_delivery(kernel, **{"url": url, "body": body, **known, **values})


def send_due(kernel: Kernel, count: int = 50) -> list[FinishedAttempt]:
    """Claim, send and record what is due now."""
    due = claim_due(kernel, dict.fromkeys(due_lanes(kernel), count)).deliveries
    finished = [attempt(kernel, one) for one in due]
    if finished:
        record(kernel, finished)
    return finished


def attempts(kernel: Kernel) -> list[tuple[int | None, str | None, str | None]]:
    """Status, reason and what was judged of every attempt."""
    with kernel.read_session() as session:
        rows = session.scalars(select(Attempt).order_by(Attempt.id))
        return [(row.status, row.reason, row.judged) for row in rows]
