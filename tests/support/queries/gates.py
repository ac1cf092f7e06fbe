"""What children and batches ask the database, done once."""

from datetime import timedelta
from itertools import product
from typing import Any

from sqlalchemy import select, update

from kernel.builtin import CreateProject
from kernel.callers import identity, keys
from kernel.callers.audit.acts import BY_SYSTEM
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import NO_CALLBACK, ORDERS, with_bit
from kernel.filters.orders import ANYTHING
from kernel.handlers import Run, Wait
from kernel.handlers.events import CHILDREN
from kernel.orders.backpressure import Pressure
from kernel.orders.batches.accept import BatchSubmission, accept_batch
from kernel.orders.cancel import begin_cancel, cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.ends.descent import is_noted
from kernel.orders.gates.children import of_live_parents, relatives, wake_parent
from kernel.orders.gates.events import Told, tell
from kernel.orders.gates.knots import refuse_knot
from kernel.orders.gates.windows import close_window
from kernel.orders.pages import LaneFilter, list_orders
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.gates.windows import Descents, Parents
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import delete_orders
from tests.support.factories import CALLBACK, make_order

PARENT = '{"projname":"parent","prodesc":""}'
# An order of a batch.
ONE = {"select_tag": "create_project", "projname": "one", "callback_url": CALLBACK}


def give_gated_handlers(kernel: Kernel) -> None:
    """Register a kind that waits for its children, which may have children."""

    @kernel.handlers.register("family", CreateProject)
    def family(run: Run, args: CreateProject) -> dict[str, Any] | Wait:
        if run.children:
            return {"children": [one.state for one in run.children]}
        given = {"prodesc": "", "callback_url": CALLBACK}
        if args.projname == "parent":
            run.submit("family", projname="child", **given)
        else:
            for name in ("one", "two"):
                run.submit("create_project", projname=name, **given)
        return Wait.children()


def events_are_deleted(kernel: Kernel) -> None:
    """Delete an order with its events."""
    order_id = make_order(kernel, callback_url=NO_CALLBACK)
    tell(kernel, order_id, Told("approved"))
    assert delete_orders(kernel, [order_id]) == 1


def windows_end(kernel: Kernel) -> None:
    """Close the window of an order that runs, and hand the order back unbegun."""
    until = kernel.clock.now() + timedelta(hours=1)
    order_id = make_order(kernel, state="running", not_after=until, callback_url=NO_CALLBACK)
    assert close_window(kernel, order_id) is None
    assert leave(kernel, order_id, 1, Exit(Why.NOT_BEGUN)).again_in == 0
    cancel(kernel, None, order_id)


def children_end(kernel: Kernel) -> None:
    """Have three generations end, look at them meanwhile, and cancel three others."""
    for is_cancelled in (False, True):
        top = make_order(kernel, select_tag="family", args=PARENT)
        assert execute(kernel, top)
        (middle,) = children_of(kernel, top)
        assert execute(kernel, middle)
        families_are_shown(kernel, [top, middle])
        Parents().run(kernel, Swept())
        assert wake_parent(kernel, middle) is None
        if is_cancelled:
            begin_cancel(kernel, top, BY_SYSTEM, [], until=0.0)  # it comes to one of them
            with kernel.read_session() as session:
                assert is_noted(session, top)
            Descents().run(kernel, Swept())
            continue
        for order_id in (*children_of(kernel, middle), middle, top):
            assert execute(kernel, order_id)


def families_are_shown(kernel: Kernel, ids: list[str]) -> None:
    """Ask for what orders say of their families, and which of them cannot be deleted yet."""
    asked = select(ORDERS.c.id, ORDERS.c.gates).where(ORDERS.c.id.in_(ids))
    with kernel.read_session() as session:
        rows = session.execute(asked).all()
        assert [relatives(session, one) for one in rows]
        assert of_live_parents(session, rows) == set(ids[1:])


def those_that_wait_are_listed(kernel: Kernel) -> None:
    """Pages of what waits for one thing, or for any, and of one order's children."""
    top = make_order(kernel, select_tag="family", args=PARENT)
    assert execute(kernel, top)
    with kernel.read_session() as session:
        for caller_id, tag, waiting in product((None, 1), (None, "family"), (CHILDREN, ANYTHING)):
            wanted = LaneFilter("waiting", tag, waiting=waiting, limit=10)
            assert list_orders(session, caller_id, wanted)
        ids = tuple(children_of(kernel, top))
        for caller_id, some in product((None, 1), (None, ids)):
            assert list_orders(session, caller_id, LaneFilter(batch=top, ids=some, limit=10))
        seen = LaneFilter("pending", as_callers_see=True, limit=10)
        assert list_orders(session, 1, seen)


def batches_end(kernel: Kernel) -> None:
    """Take a batch by its caller's key, and again; end it with its orders."""
    with kernel.write_session() as session:
        key = keys.add(session, "by-batch", kernel.clock.now()).api_key
        assert key is not None
    with kernel.read() as connection:
        who = identity.identify(connection, key.get_secret_value(), kernel.clock.now())
    orders = [ONE | {"idempotency_key": f"key {n}", "ordering_key": "batch"} for n in range(2)]
    members = {"orders": orders, "batch": {"reference": "CHG1", "callback_url": CALLBACK}}
    for key_of_batch in ("one", "one", "two"):
        sent = BatchSubmission(who, members, key_of_batch, pressure=Pressure(kernel))
        assert len(accept_batch(kernel, sent).items) == len(orders)
    with kernel.read() as connection:
        mine = select(ORDERS.c.id).where(ORDERS.c.caller_id == who.caller_id)
        ids = connection.scalars(mine.where(ORDERS.c.select_tag == "create_project")).all()
    for order_id in sorted(ids):
        assert execute(kernel, order_id)


def children_of(kernel: Kernel, parent_id: str) -> list[str]:
    """The ids of an order's children."""
    asked = select(GATES.c.order_id).where(GATES.c.parent_id == parent_id)
    with kernel.read() as connection:
        return list(connection.scalars(asked.order_by(GATES.c.order_id)))


def knots_are_looked_for(kernel: Kernel) -> None:
    """Have an order wait for its children that has an ordering key, and so has one of them."""
    top = make_order(kernel, select_tag="family", args=PARENT)
    assert execute(kernel, top)
    bits = update(ORDERS).where(ORDERS.c.id.in_([top, *children_of(kernel, top)]))
    for statement in (
        bits.values(gates=with_bit(Has.KEY)),
        update(GATES).where(GATES.c.order_id == top).values(ordering_key="knot"),
    ):
        with kernel.write_session() as session:
            session.execute(statement)
    with kernel.read_session() as session:
        refuse_knot(session, top, int(Has.KEY))


GATES_HOLD = (
    events_are_deleted,
    windows_end,
    knots_are_looked_for,
    children_end,
    those_that_wait_are_listed,
    batches_end,
)
