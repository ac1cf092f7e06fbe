"""Many orders that wait behind one ordering key, and all that is asked of keys."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

from sqlalchemy import insert, select, update

from bench.rows import FIRST_CALLER
from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Cursor
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, KEYS, Has
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.filters.orders import OrderFilter
from kernel.insight.search.orders import find
from kernel.orders.cancel import cancel
from kernel.orders.gates.children import count_children
from kernel.orders.gates.keys import ORDERING_KEY, forget_keys, lock_keys, place_of, position_of
from kernel.orders.gates.shown import gate_shown
from kernel.orders.gates.stuck_keys import release_key, stuck_keys
from kernel.orders.gates.waiting import end_wait, ended_waits
from kernel.orders.pages import PAGE, LaneFilter, get_order, list_orders
from kernel.orders.submit import submit
from kernel.orders.transitions import Waiting, begin_waiting
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, CALLBACK, make_order, request

CALLER = FIRST_CALLER + 2
KEY = "customer 4711"


def line_up(kernel: Kernel, caller_id: int, count: int, key: str = KEY) -> Sequence[str]:
    """Insert ``count`` orders of a key, the first of which has its turn; return their ids.

    Beside the key there are as many others, which no live order has.
    """
    now = kernel.clock.now()
    ids = sorted(new_id(now) for _ in range(count))
    orders: list[dict[str, Any]] = [
        {
            "id": order_id,
            "caller_id": caller_id,
            "select_tag": "create_project",
            "args": '{"projname":"Bridge","prodesc":"over the river"}',
            "callback_url": CALLBACK,
            "fingerprint": "0" * 64,
            "gates": int(Has.KEY),
            "created_at": now,
            "run_after": now,
            "state": OrderState.WAITING,
        }
        for order_id in ids
    ]
    orders[0]["state"] = OrderState.PENDING
    gates = [
        {
            "order_id": order_id,
            "caller_id": caller_id,
            "ordering_key": key,
            "place": number,
            "waiting_for": None if number == 1 else ORDERING_KEY,
            "waiting_since": None if number == 1 else now,
        }
        for number, order_id in enumerate(ids, 1)
    ]
    keys = [
        {"caller_id": caller_id, "ordering_key": f"{key} {number}", "tail": 1, "holder": None}
        for number in range(count)
    ]
    keys.append({"caller_id": caller_id, "ordering_key": key, "tail": count, "holder": ids[0]})
    with kernel.write() as connection:
        for table, rows in ((ORDERS, orders), (GATES, gates), (KEYS, keys)):
            connection.execute(insert(table), rows)
    return ids


def orders_take_turns(kernel: Kernel) -> None:
    """Submit, end, cancel and show orders of a key; release, prune and forget keys.

    Look at a parent with the children that some of them are made.
    """
    keyed = replace(request(), ordering_key="customer 1")
    first, second, third = (submit(kernel, ANYBODY, keyed).order_id for _ in range(3))
    cancel(kernel, 1, second)
    assert execute(kernel, first)
    assert place_of(kernel, third)
    with kernel.read_session() as session:
        gate_shown(session, get_order(session, 1, third))
        position_of(session, line_of(kernel)[-1])
    with kernel.write() as connection:
        connection.execute(update(ORDERS).where(ORDERS.c.id == third).values(state="success"))
    fourth = submit(kernel, ANYBODY, keyed).order_id
    (stuck,), _ = stuck_keys(kernel, "", 500)
    assert release_key(kernel, stuck) == (fourth,)
    cancel(kernel, 1, fourth)
    with kernel.write() as connection:
        forget_keys(connection, lock_keys(connection, [fourth]))
    list_by_key(kernel)
    look_at_a_parent(kernel)


def orders_wait(kernel: Kernel) -> None:
    """Have an order wait for a while, twice, and go on."""
    order_id = submit(kernel, ANYBODY, request()).order_id
    for _ in range(2):
        with kernel.write_session() as session:
            found = session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
            waits = Waiting("event:told", kernel.clock.now() - timedelta(seconds=1))
            assert begin_waiting(kernel, session, OrderSnapshot(*found), waits)
        assert end_wait(kernel, order_id)
    assert ended_waits(kernel, 10) == []


def line_of(kernel: Kernel) -> list[str]:
    """The orders of the key that many wait behind, by their places."""
    places = select(GATES.c.order_id).where(GATES.c.ordering_key == KEY).order_by(GATES.c.place)
    with kernel.read() as connection:
        return list(connection.scalars(places))


def list_by_key(kernel: Kernel) -> None:
    """Pages of one key's orders, of everybody and of one caller."""
    with kernel.read_session() as session:
        for caller_id, state in product((None, CALLER), (None, "waiting")):
            wanted = LaneFilter(state, ordering_key=KEY, limit=10)
            assert len(list_orders(session, caller_id, wanted)) == 10
        ids = tuple(line_of(kernel)[:3])
        assert list_orders(session, CALLER, LaneFilter(ids=ids, ordering_key=KEY))


def look_at_a_parent(kernel: Kernel) -> None:
    """Count and list the children of an order, by each filter, from both ends."""
    parent, children = line_of(kernel)[0], line_of(kernel)[1:301]
    with kernel.write() as connection:
        chosen = GATES.c.order_id.in_(children)
        connection.execute(update(GATES).where(chosen).values(parent_id=parent))
    edges = (None, Cursor((children[150],)), Cursor((children[150],), up=True))
    with kernel.read_session() as session:
        assert count_children(session, parent) == {"waiting": 300}
        assert len(list_orders(session, None, LaneFilter(batch=parent))) == PAGE
        more: list[dict[str, Any]]
        more = [{}, {"state": OrderState.WAITING}, {"caller_id": CALLER}, {"select_tag": "none"}]
        for wanted, edge in product(more, edges):
            found = find(session.connection(), OrderFilter(batch=parent, **wanted), edge)
            assert (found.orders == []) == ("select_tag" in wanted)
        named = OrderFilter(batch=parent, text=children[0])
        assert len(find(session.connection(), named).orders) == 1


def a_share_holds(kernel: Kernel) -> None:
    """Run an order of a caller of whom five may run at once, and give it all of them again."""
    for share in (5, 0):
        with kernel.write_session() as session:
            keys.change(session, "anonymous", CallerRules(max_running=share))
        execute(kernel, make_order(kernel))
