"""A message of short orders that share commits."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event, select, update

from kernel.builtin import projects
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

DONE = ("success", 1)


class Message:
    """A kernel, and the orders 0, 1, ... that one message hints."""

    def __init__(
        self, make_kernel: Callable[..., Kernel], url: str, count: int = 10, **more: Any
    ) -> None:
        handlers = Handlers()
        # What happens in the handler of an order, after it has written.
        self.does: dict[str, Callable[[Run], Any]] = {}
        # The names for which a handler was called.
        self.called: list[str] = []

        def do(run: Run, args: Named) -> Any:
            self.called.append(args.name)
            write(run, args.name)
            does = self.does.get(args.name)
            return {"name": args.name} if does is None else does(run)

        handlers.register("short", Named, together=True)(do)
        handlers.register("other", Named, together=True)(do)
        handlers.register("long", Named)(do)
        self.kernel = make_kernel(url, handlers, **more)
        self.ids = [self.make(str(number)) for number in range(count)]

    def make(self, name: str, tag: str = "short", **values: Any) -> str:
        """Store an order."""
        return make_order(self.kernel, select_tag=tag, args=f'{{"name":"{name}"}}', **values)

    def execute(self) -> list[RunEnd]:
        """Run them as a worker does."""
        return list(execute_each(self.kernel, self.ids))

    @property
    def states(self) -> list[tuple[str, int]]:
        """State and run of each."""
        return [(one.state, one.run) for one in (order(self.kernel, id) for id in self.ids)]

    @property
    def written(self) -> list[str]:
        """What handlers have written and committed."""
        with self.kernel.read_session() as session:
            return sorted(session.scalars(select(projects.c.projname)))

    @property
    def counted(self) -> int:
        """What stands against these orders, all in all."""
        found = [order(self.kernel, id) for id in self.ids]
        return sum(one.crashes + one.broken + one.retries + one.timeouts for one in found)

    def names(self, *without: int) -> list[str]:
        """The names of all orders but these."""
        return [str(n) for n in range(len(self.ids)) if n not in without]


def change(kernel: Kernel, order_id: str, **values: Any) -> None:
    """Change the order's row as somebody else would."""
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(**values))


def commits_of(kernel: Kernel) -> list[None]:
    """A list that grows with each commit of a run's connection."""
    commits: list[None] = []
    event.listen(kernel.engines.running, "commit", lambda _: commits.append(None))
    return commits
