"""What an order's JSON says of its gates: its key, its place, and what it waits for."""

from collections.abc import Iterable
from typing import Any

from kernel.formats.envelope import rfc3339
from kernel.orders.gates.children import relatives
from kernel.orders.gates.keys import Asked, has_key, position_of, turns_of
from kernel.orders.gates.waiting import gates_of


def gates_shown(asked: Asked, orders: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return what is shown of the gates of these orders in a list, by the orders' ids.

    Asks nothing where no order has any.
    """
    orders = list(orders)
    found = turns_of(asked, [one.id for one in orders if has_key(one.gates)])
    for order_id, gate in gates_of(asked, orders).items():
        waits = {"waiting_for": gate.waiting_for, "since": rfc3339(gate.waiting_since)}
        found[order_id] = found.get(order_id, {}) | waits
    return found


def gate_shown(asked: Asked, order: Any) -> dict[str, Any]:
    """Return what is shown of the gates of one order, its position included while it waits."""
    found = gates_shown(asked, [order]).get(order.id, {})
    found = found | relatives(asked, order)
    position = position_of(asked, order.id) if has_key(order.gates) else None
    return found if position is None else found | {"position": position}
