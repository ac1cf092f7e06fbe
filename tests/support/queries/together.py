"""Short orders that share a commit, one of which another process was faster with."""

from sqlalchemy import select

from kernel.builtin import CreateProject, create_project
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.errors import Reject
from kernel.handlers import Run
from kernel.orders.ends.together import Taker, take_together
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order


def give_short_handlers(kernel: Kernel) -> None:
    """Register a kind of orders that share commits."""

    @kernel.handlers.register("short", CreateProject, together=True)
    def short(run: Run, args: CreateProject) -> dict[str, object]:
        if args.projname == "reject":
            raise Reject("no_room", "no room")
        return create_project(run, args)


def short_orders_share_a_commit(kernel: Kernel) -> None:
    """Run ten together, and take two of which one is taken."""
    names = ["reject", *map(str, range(9))]
    args = [f'{{"projname":"{name}","prodesc":""}}' for name in names]
    ids = [make_order(kernel, select_tag="short", args=one) for one in args]
    ended = {end.order_id: end.outcome for end in execute_each(kernel, ids)}
    assert all(ended[one] is not None for one in ids)
    of_both = select(*SNAPSHOT).where(ORDERS.c.id.in_([ids[1], make_order(kernel)]))
    now, lease = kernel.clock.offset(), kernel.clock.offset(kernel.lease)
    with kernel.write() as connection:
        both = [OrderSnapshot(*row) for row in connection.execute(of_both)]
        taken = take_together(connection, both, Taker(kernel.runner, None, now, lease))
        connection.rollback()
    assert taken is not None
    assert taken == {one.id for one in both} - {ids[1]}
