"""What the end of a run leaves behind, and the outbox row: the callback that an outcome owes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, bindparam, func, insert, select

from kernel.callers.matching import NAMED
from kernel.callers.receivers import origin_of_named
from kernel.db.clock import Clock, database_time
from kernel.db.ids import new_id
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Claim, OrderState, Outcome
from kernel.db.tables.deliveries import DELIVERIES, OutboxRow
from kernel.db.tables.orders import OrderSnapshot
from kernel.db.tables.receivers import SHAPES
from kernel.formats.envelope import cut
from kernel.formats.texts import text
from kernel.formats.tracecontext import Trace
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of

_OUTBOX = ("id", "order_id", "caller_id", "origin", "url", "body")
_INSERT_DELIVERY = Prepared(
    insert(DELIVERIES).values(
        created_at=database_time("now"),
        next_attempt_at=database_time("due"),
        # What the callback looks like is settled here, whichever process sends it.
        shapes_until=func.coalesce(
            bindparam("shapes", type_=Integer), select(func.max(SHAPES.c.id)).scalar_subquery()
        ),
    ),
    (*_OUTBOX, "claim_token", "attempt", "tries", "is_retry"),
)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What became of an order at the end of a run.

    ``outcome``, and the outbox row of its callback unless the caller polls instead; or
    ``again_in``: seconds until it is due again; or ``waits``. None of them when another run owns
    the order, or the database could not be told yet. ``woken``: orders that this commit made
    pending, to be hinted. ``is_child``: its parent is asked for after it, see ``parent``.
    """

    order_id: str
    outcome: Outcome | None = None
    again_in: float | None = None
    owed: OutboxRow | None = None
    waits: bool = False
    woken: tuple[str, ...] = ()
    is_child: bool = False
    parent: "RunEnd | None" = None
    makes_room: bool = False  # its caller has a share: another order of it may begin


class Waiting(NamedTuple):
    """What an order waits for, as `Gate.waiting_for` has it, and until when; None: for ever."""

    what: str
    until: datetime | None = None


class Owing(NamedTuple):
    """Since when a callback is owed, what it is traced by, and the claim of its first attempt.

    ``claim`` None: it is due for any dispatcher.
    """

    now: datetime
    trace: Trace
    claim: Claim | None = None


def owe(
    clock: Clock, connection: Connection, order: OrderSnapshot, body: bytes, owing: Owing
) -> OutboxRow:
    """Insert the callback: due now, or with its first attempt claimed. The caller commits."""
    row, values = _made(clock, connection, order, body, owing)
    _INSERT_DELIVERY.execute(connection, values)
    return row


def owe_together(
    clock: Clock, connection: Connection, owed: Sequence[tuple[OrderSnapshot, bytes, Owing]]
) -> list[OutboxRow]:
    """Insert the callbacks of several orders with one statement, as `owe` does that of one."""
    made = [_made(clock, connection, *one) for one in owed]
    if made:
        _INSERT_DELIVERY.insert_rows(connection, [values for _, values in made])
    return [row for row, _ in made]


def _made(
    clock: Clock, connection: Connection, order: OrderSnapshot, body: bytes, owing: Owing
) -> tuple[OutboxRow, dict[str, Any]]:
    """Make the row of a callback, and the values of its INSERT."""
    claim = owing.claim
    origin = _origin(connection, order) if claim is None else claim.origin
    row = _owed(order, body, origin, owing)
    values: dict[str, Any] = {name: getattr(row, name) for name in _OUTBOX} | {
        "now": clock.offset(),
        "due": clock.offset() if claim is None else clock.offset(claim.lasts),
        "shapes": row.shapes_until,
        "claim_token": row.token,
        "attempt": row.attempt,
        "tries": row.tries,
        "is_retry": claim is not None,
    }
    return row, values


def _origin(connection: Connection, order: OrderSnapshot) -> str:
    """Return what a callback queues up by: one question for an order that names a receiver."""
    url = order.callback_url
    if not url.startswith(NAMED):
        return origin_of(url)
    return origin_of_named(connection, order.caller_id, url.removeprefix(NAMED))


def _owed(order: OrderSnapshot, body: bytes, origin: str, owing: Owing) -> OutboxRow:
    now, trace, claim = owing
    return OutboxRow(
        id=new_id(now),
        order_id=order.id,
        caller_id=order.caller_id,
        origin=origin,
        url=order.callback_url,
        body=body,
        created_at=now,
        attempt=0 if claim is None else 1,
        tries=0 if claim is None else 1,
        token=None if claim is None else claim.token,
        request_id=trace.request_id,
        traceparent=trace.traceparent,
        reference=order.reference,
        shapes_until=None if claim is None else claim.shapes_until,
    )


def ending(kernel: Kernel, code: str, detail: str = "") -> Outcome:
    """Return the outcome of an order that ends without its handler's word: an error code.

    ``cancelled`` is a state of its own; every other code is that of a failed order.
    """
    state = OrderState.CANCELLED if code == OrderState.CANCELLED else OrderState.FAILED
    message = text(code, kernel.settings.language) + (f": {detail}" if detail else "")
    return Outcome(state, cut(message), error_code=code)
