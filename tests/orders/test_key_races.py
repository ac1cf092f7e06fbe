"""Submits and ends of one ordering key that come at once, on each database.

Under READ COMMITTED a submit and an end do not see what the other has not committed: without the
key's row an order would wait behind one that has just ended, for ever.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import DBAPIError

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, KEYS
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.errors import Conflict
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.keys import forget_keys, lock_keys
from kernel.orders.submit import submit
from kernel.orders.transitions import end_order
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.prune import delete_orders
from tests.support.abilities import kind_of
from tests.support.factories import ANYBODY, rows
from tests.support.factories import order as stored
from tests.support.rivals import at_once
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]
NAMES = ("acme", "globex", "initech")
# Orders that each of three callers' threads submits.
ORDERS_EACH = 12
MAY_RUN = (OrderState.PENDING, OrderState.RUNNING)
LIVE = (*MAY_RUN, OrderState.WAITING)


class Work(BaseModel):
    """``which``: the order's key, for the handler."""

    which: str = ""


def plain(make_kernel: MakeKernel, url: str) -> Kernel:
    handlers = Handlers()
    handlers.register("work", Work)(lambda run, args: {})
    return make_kernel(url, handlers)


@pytest.fixture
def kernel(make_kernel: MakeKernel, database_url: str) -> Kernel:
    return plain(make_kernel, database_url)


@pytest.fixture
def other(make_kernel: MakeKernel, database_url: str) -> Kernel:
    """Another process on the same database."""
    return plain(make_kernel, database_url)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


def keyed(kernel: Kernel, key: str = "acme") -> str:
    return order(kernel, "work", callback_url=None, ordering_key=key)


@contextmanager
def ending_order(kernel: Kernel, order_id: str) -> Iterator[tuple[str, ...]]:
    """End an order, which is committed when the block ends."""
    with kernel.write_session() as session:
        found = session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        end = end_order(kernel, session, OrderSnapshot(*found), ending(kernel, "cancelled"))
        assert end is not None
        yield end.woken


def submitted(kernel: Kernel, before_commit: Callable[[], None]) -> str:
    """Submit an order of the key; ``before_commit`` is called when its rows are written."""
    members = {"select_tag": "work", "callback_url": None, "ordering_key": "acme"}
    asked = order_request(members, kernel.handlers)
    return submit(kernel, ANYBODY, asked, along=lambda *_: before_commit()).order_id


def until_it_waits(kernel: Kernel, future: Future[Any]) -> None:
    """Wait until what another thread has begun waits for a lock. A file's locks tell nothing."""
    locked = kind_of(kernel.dialect.names[0]).locked

    def waits() -> bool:
        with kernel.read() as connection:
            return future.done() or int(connection.scalar(text(locked)) or 0) > 0

    if locked:
        wait_until(waits)
    assert not future.done(), future.result()


def test_submit_waits_for_an_end_that_has_begun(
    kernel: Kernel, other: Kernel, threads: ThreadPoolExecutor
) -> None:
    first = keyed(kernel)
    with ending_order(kernel, first) as woken:
        submitting = threads.submit(keyed, other)
        until_it_waits(kernel, submitting)
    assert woken == ()
    assert stored(kernel, submitting.result(30)).state == "pending"


def test_end_waits_for_a_submit_that_has_begun(
    kernel: Kernel, other: Kernel, threads: ThreadPoolExecutor
) -> None:
    first = keyed(kernel)
    cancelling: list[Future[Any]] = []

    def before_commit() -> None:
        cancelling.append(threads.submit(cancel, other, 1, first))
        until_it_waits(kernel, cancelling[-1])

    second = submitted(kernel, before_commit)
    assert cancelling[-1].result(30) == "cancelled"
    assert stored(kernel, second).state == "pending"


def test_key_stays_when_a_submit_has_begun_before_its_last_order_is_deleted(
    kernel: Kernel, other: Kernel, threads: ThreadPoolExecutor
) -> None:
    first = keyed(kernel)
    drain(kernel)
    deleting: list[Future[Any]] = []

    def before_commit() -> None:
        deleting.append(threads.submit(delete_orders, other, [first]))
        until_it_waits(kernel, deleting[-1])

    second = submitted(kernel, before_commit)
    assert deleting[-1].result(30) == 1
    assert [(one.holder, one.tail) for one in rows(kernel, KEYS)] == [(second, 2)]


def test_key_is_made_anew_by_a_submit_that_waits_for_its_deletion(
    kernel: Kernel, other: Kernel, threads: ThreadPoolExecutor
) -> None:
    first = keyed(kernel)
    drain(kernel)
    with kernel.write() as connection:
        keys = lock_keys(connection, [first])
        connection.execute(delete(GATES).where(GATES.c.order_id == first))
        forget_keys(connection, keys)
        submitting = threads.submit(keyed, other)
        until_it_waits(kernel, submitting)
    second = submitting.result(30)
    assert [(one.holder, one.tail) for one in rows(kernel, KEYS)] == [(second, 1)]


class Storm:
    """Many submits, ends and cancels of few keys at once, and what was seen of them meanwhile."""

    def __init__(self, make_kernel: MakeKernel, url: str) -> None:
        self.handlers = Handlers()
        self.handlers.register("work", Work)(self._work)
        self.kernel = make_kernel(url, self.handlers)
        # The orders of each key in the order in which their runs began.
        self.began: dict[str, list[str]] = defaultdict(list)
        # How many orders of a key were seen at one moment that may run.
        self.most = 0
        self.submitted = threading.Event()

    def _work(self, run: Run, args: Work) -> dict[str, Any]:
        key = args.which
        self.began[key].append(run.order_id)
        with self.kernel.read() as connection:
            may_run = select(func.count()).join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
            keyed = may_run.where(GATES.c.ordering_key == key, ORDERS.c.state.in_(MAY_RUN))
            self.most = max(self.most, connection.scalar(keyed) or 0)
        return {}

    def submit(self, turn: int) -> None:
        """Submit orders of all keys in turn, and cancel some of them at once."""
        for number in range(ORDERS_EACH):
            key = NAMES[(turn + number) % len(NAMES)]
            order_id = order(self.kernel, "work", None, ordering_key=key, which=key)
            if number % 4 == 3:
                with suppress(Conflict):  # it has ended
                    cancel(self.kernel, 1, order_id)

    def run(self) -> None:
        """Run what is due until all has ended."""
        while not (self.submitted.is_set() and self.live() == 0):
            for order_id in due_orders(self.kernel, 10):
                with suppress(DBAPIError):  # a rival's lock: it is due at the next look
                    execute(self.kernel, order_id)

    def live(self) -> int:
        with self.kernel.read() as connection:
            count = select(func.count()).select_from(ORDERS).where(ORDERS.c.state.in_(LIVE))
            return connection.scalar(count) or 0

    def rage(self) -> None:
        """Let all of it happen."""

        def submit_all() -> None:
            try:
                at_once(*(lambda turn=turn: self.submit(turn) for turn in range(3)))
            finally:
                self.submitted.set()

        at_once(submit_all, self.run, self.run, self.run)


@pytest.mark.rows
@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_no_order_overtakes_or_is_stuck_when_many_come_and_end_at_once(
    make_kernel: MakeKernel, request: pytest.FixtureRequest, kind: str
) -> None:
    storm = Storm(make_kernel, request.getfixturevalue(f"{kind}_rows_url"))
    storm.rage()
    assert storm.most == 1
    places = {one.order_id: one.place for one in rows(storm.kernel, GATES)}
    assert len(places) == 3 * ORDERS_EACH
    for key in NAMES:
        # A run that met a rival's lock is begun again.
        began = [order_id for order_id, _ in groupby(storm.began[key])]
        in_turn = [places[order_id] for order_id in began]
        assert in_turn == sorted(set(in_turn)), key
    assert {one.holder for one in rows(storm.kernel, KEYS)} == {None}
