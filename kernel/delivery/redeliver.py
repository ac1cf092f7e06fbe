"""What people do with deliveries: look at them, redeliver one; many at once are a bulk act.

A redelivery keeps its webhook-id and its bytes and starts a fresh schedule. Nothing here waits
for a receiver: it only changes what is due.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.matching import NAMED
from kernel.callers.receivers import origin_of_named
from kernel.db.ids import ID
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, Attempt, Delivery
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.receivers import SHAPES
from kernel.db.transactions import rowcount
from kernel.errors import NotFound
from kernel.runtime.kernel import Kernel

NOTHING: Mapping[str, Any] = MappingProxyType({})


def get_delivery(
    session: Session,
    caller_id: int | None,
    delivery_id: str,
    tags: frozenset[str] | None = None,
) -> Delivery:
    """Return the caller's delivery (any caller's when ``caller_id`` is None).

    ``tags``: those of the orders whose deliveries may be seen; None for all. Raises NotFound for
    an unknown id, for another caller's and for one of another tag, alike.
    """
    delivery = session.get(Delivery, delivery_id) if ID.fullmatch(delivery_id) else None
    if delivery is None or caller_id not in (None, delivery.caller_id):
        raise NotFound
    if tags is not None:
        tag = session.scalar(select(ORDERS.c.select_tag).where(ORDERS.c.id == delivery.order_id))
        if tag not in tags:
            raise NotFound
    return delivery


def list_deliveries(session: Session, order_id: str) -> list[Delivery]:
    """Return the order's deliveries."""
    query = select(Delivery).where(Delivery.order_id == order_id).order_by(Delivery.id)
    return list(session.scalars(query))


def list_attempts(session: Session, delivery_ids: list[str]) -> dict[str, list[Attempt]]:
    """Return the attempts of each of these deliveries, in order."""
    found: dict[str, list[Attempt]] = {one: [] for one in delivery_ids}
    query = select(Attempt).where(Attempt.delivery_id.in_(delivery_ids)).order_by(Attempt.id)
    for attempt in session.scalars(query):
        found[attempt.delivery_id].append(attempt)
    return found


def redeliver(
    kernel: Kernel,
    caller_id: int | None,
    delivery_id: str,
    *,
    with_current_shape: bool = False,
    tags: frozenset[str] | None = None,
    by: By = BY_SYSTEM,
) -> bool:
    """Make a delivery due now; False, changing nothing, while an attempt is in flight.

    ``with_current_shape``: it is sent as its receiver's shape is now, and not as it was at the
    outcome. ``tags``: as of `get_delivery`. Raises NotFound.
    """
    with kernel.write_session() as session:
        delivery = get_delivery(session, caller_id, delivery_id, tags)
        moved: dict[str, Any] = {}
        if with_current_shape:
            moved["shapes_until"] = select(func.max(SHAPES.c.id)).scalar_subquery()
        if delivery.url.startswith(NAMED):  # the receiver of that name may be another one by now
            named = delivery.url.removeprefix(NAMED)
            moved["origin"] = origin_of_named(session.connection(), delivery.caller_id, named)
        before = {"state": delivery.state, "tries": delivery.tries}
        if with_current_shape:  # what the attempts until now were made with
            before["shapes_until"] = delivery.shapes_until
        if make_due(kernel, session, [delivery_id], moved) != 1:
            return False
        after = {"state": DeliveryState.PENDING, "with_current_shape": with_current_shape}
        told = {"before": before, "after": after | {"order": delivery.order_id}}
        by.record(session, "delivery.redeliver", f"delivery {delivery_id}", **told)
        return True


def make_due(
    kernel: Kernel,
    session: Session,
    ids: list[str],
    moved: Mapping[str, Any] = NOTHING,
    where: ColumnElement[bool] | None = None,
) -> int:
    """Make deliveries due now with a fresh schedule; return how many.

    Those with an attempt in flight are left alone. ``moved``: columns that change with it.
    ``where``: what has to be true of their rows still, where another transaction has read them.
    """
    now = kernel.clock.sql()
    fit = [DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token.is_(None)]
    if where is not None:
        fit.append(where)
    changed = session.execute(
        update(DELIVERIES)
        .where(*fit)
        .values(
            state=DeliveryState.PENDING,
            next_attempt_at=now,
            created_at=now,
            tries=0,
            client_errors=0,
            is_retry=False,
            finished_at=None,
            died_of=None,
            **moved,
        )
    )
    return rowcount(changed)
