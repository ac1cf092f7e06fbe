"""Switches that take away what lets an installation live beside others.

As those of `tests.chaos.breaks`, which has them among its own.
"""

from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.worker.services import housekeeping
from tests.chaos.mutants import MILD
from tests.chaos.switch import Break

# What it would do to a table `orders` that it took for its own.
TOUCH = text("UPDATE orders SET state = 'swept' WHERE state = 'paid' LIMIT 1")


def shared_queue() -> None:
    Name.queue = lambda self: "orders"  # type: ignore[method-assign]


def takes_tables() -> None:
    next_turn = housekeeping.next_turn

    def touching(kernel: Kernel) -> float:
        with suppress(SQLAlchemyError), kernel.write_session() as session:
            session.execute(TOUCH)
        return next_turn(kernel)

    housekeeping.next_turn = touching


UNNEIGHBOURLY: Mapping[str, Break] = {
    "shared-queue": Break("the queue of hints is called the same everywhere", MILD,
        "wrong", "heard another installation's hints", shared_queue, times=3, neighbours=True),
    "takes-tables": Break("a sweep takes the shop's table `orders` for its own", MILD,
        "wrong", "is swept, not", takes_tables, times=2, neighbours=True),
}  # fmt: skip
