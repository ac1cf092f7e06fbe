"""Calls each stage as the API, a worker or a dispatcher does, and times it in milliseconds."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import delete, insert, select

from bench.rows import RARE_TAG
from kernel.callers import identity, keys
from kernel.db.ids import new_id
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.delivery.attempt import FinishedAttempt
from kernel.delivery.claim import BATCH, DueDelivery, claim_due, due_lanes
from kernel.delivery.lanes import share
from kernel.delivery.record import record
from kernel.delivery.slots import SenderSlots
from kernel.errors import TooManyPending
from kernel.insight.backlog import backlog
from kernel.insight.trends import rows as trends
from kernel.orders.backpressure import Pressure
from kernel.orders.due import HINTS, due_orders
from kernel.orders.submit import submit
from kernel.orders.transitions import end_order
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Delivered, RetryIn
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.sweep import sweep
from tests.support.clients import Client, serve
from tests.support.factories import CALLBACK, request

SUCCESS = Outcome(OrderState.SUCCESS, "success", '{"projname":"Bridge"}')
CALLER = "caller-3"


class Stages:
    """The stages on one schema filled by `bench.rows`. They send no hints and no callbacks."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.claimed: list[DueDelivery] = []
        now = kernel.clock.now()
        with kernel.write_session() as session:
            self.identity = identity.identity_of(session, CALLER)
            caller = keys.add_key(session, CALLER, now, None)
            terms = keys.KeyTerms(frozenset({identity.Scope.OPERATOR}))
            operator = keys.add(session, "operator", now, terms=terms)
        app = serve(kernel)
        self.clients = {
            "caller": Client(app, _key(caller)),
            "operator": Client(app, _key(operator)),
        }
        self.finished = self._some_finished()
        note_tags(kernel)

    def catch_up(self) -> None:
        """Count the minutes of the last day, as an installation that is older than a day has."""
        while trends.write(self.kernel):
            pass

    def submit(self) -> float:
        """Time T1, with an idempotency key."""
        key = new_id(self.kernel.clock.now())
        return timed(lambda: submit(self.kernel, self.identity, request(), key))

    def claim(self) -> float:
        """Time T2."""
        order_id = self._order()
        with self.kernel.run_connection() as connection:
            took = timed(Batch(self.kernel, connection, [order_id]).claim)
        with self.kernel.write() as statements:  # no worker runs it: a sweep would rescue it
            statements.execute(delete(ORDERS).where(ORDERS.c.id == order_id))
        return took

    def finish(self) -> float:
        """Time T3 without a handler: the outcome and its delivery."""
        now = self.kernel.clock.now()
        order_id = self._order(state="running", run=1, lease_until=now + self.kernel.lease)
        with self.kernel.read_session() as session:
            row = session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()

        def finish() -> None:
            with self.kernel.write_session() as session:
                assert end_order(self.kernel, session, OrderSnapshot(*row), SUCCESS)

        return timed(finish)

    def run(self) -> float:
        """Time T2, the handler's insert, and T3."""
        order_id = self._order()
        return timed(lambda: execute(self.kernel, order_id))

    def lanes(self) -> float:
        """Time the search for lanes with due deliveries."""
        return timed(lambda: due_lanes(self.kernel))

    def deliver(self) -> float:
        """Time T4: claim a batch of retries, a share from every lane."""
        lanes = [lane for lane in due_lanes(self.kernel) if lane.is_retry]
        slots = SenderSlots(2 * BATCH, window=BATCH)  # of receivers that are known to answer
        shares = share(lanes, slots, BATCH, time.monotonic())
        took = timed(lambda: self.claimed.extend(claim_due(self.kernel, shares).deliveries))
        assert len(self.claimed) == BATCH, "not enough is due"
        return took

    def record(self) -> float:
        """Time T5: record the batch of `deliver`, one in five of it to be tried again."""
        again = RetryIn(timedelta(days=1))
        ended = [
            _ended(due, Delivered() if number % 5 else again)
            for number, due in enumerate(self.claimed)
        ]
        self.claimed = []
        return timed(lambda: record(self.kernel, ended))

    def hints(self) -> float:
        """Time the search for the orders that a sweep hints."""
        return timed(lambda: due_orders(self.kernel, HINTS))

    def pressure(self) -> float:
        """Time the count of a caller's waiting orders."""

        def count() -> None:
            with suppress(TooManyPending):
                Pressure(self.kernel).check(self.identity.caller_id)

        return timed(count)

    def sweep(self) -> float:
        """All the jobs of a sweep."""
        return timed(lambda: sweep(self.kernel, rescue=True))

    def gauges(self) -> float:
        """Time the counts of the backlog for a scrape of /metrics."""
        return timed(lambda: backlog(self.kernel))

    def status(self) -> float:
        """Time GET /v1/orders/ID of an order that finished long ago."""
        order_id = self.finished[0]
        self.finished.append(self.finished.pop(0))
        return self._get(f"/v1/orders/{order_id}")

    def deliveries(self) -> float:
        """Time GET /v1/orders/ID/deliveries of such an order."""
        return self._get(f"/v1/orders/{self.finished[0]}/deliveries")

    def page(self, asking: str, query: str) -> float:
        """Time GET /v1/orders with these filters, as ``caller`` or as ``operator``."""
        return self._get(f"/v1/orders?{query}", asking)

    def _get(self, path: str, asking: str = "operator") -> float:
        answers: list[Any] = []
        took = timed(lambda: answers.append(self.clients[asking].get(path)))
        assert answers[0].status_code == 200, answers[0].text
        return took

    def _order(self, **values: Any) -> str:
        now = self.kernel.clock.now()
        row = {"id": new_id(now), "caller_id": self.identity.caller_id, "created_at": now}
        row |= {"select_tag": "create_project", "args": '{"projname":"Bridge"}'}
        row |= {"callback_url": CALLBACK, "fingerprint": "0" * 64, "run_after": now, **values}
        with self.kernel.write_session() as session:
            session.execute(insert(ORDERS).values(row))
        return str(row["id"])

    def _some_finished(self) -> list[str]:
        """Return ids of finished orders from the whole table."""
        with self.kernel.read_session() as session:
            ids = session.scalars(
                select(ORDERS.c.id).where(ORDERS.c.finished_at.is_not(None))
            ).all()
        return list(ids[:: max(1, len(ids) // 100)])


def queries(start: datetime, end: datetime) -> list[str]:
    """Return every combination of the filters of GET /v1/orders: common, rare and absent values.

    ``start`` and ``end``: when the first and the last order of the table were accepted.
    """
    middle = start + (end - start) / 2
    states = ["", "state=success", "state=cancelled", "state=pending", "state=running"]
    tags = ["", "select_tag=create_project", f"select_tag={RARE_TAG}", "select_tag=unheard_of"]
    day = timedelta(days=1)
    times = [
        "",
        _query(since=middle),
        _query(until=middle),
        _query(since=middle, until=middle + day),
    ]
    pages = ["", f"cursor={new_id(middle)}"]
    return ["&".join(filter(None, parts)) for parts in product(states, tags, times, pages)]


def _query(**moments: datetime) -> str:
    return urlencode({name: moment.isoformat() for name, moment in moments.items()})


def _key(made: keys.Credentials) -> str:
    assert made.api_key is not None
    return made.api_key.get_secret_value()


def _ended(due: DueDelivery, verdict: Delivered | RetryIn) -> FinishedAttempt:
    failed = isinstance(verdict, RetryIn)
    return FinishedAttempt(
        due=due,
        started_at=due.created_at,
        duration_ms=12,
        status=503 if failed else 200,
        reason="http_5xx" if failed else None,
        excerpt="{}",
        phases={"connect": 1.2, "wait": 8.3, "read": 0.2},
        verdict=verdict,
    )


def timed(work: Callable[[], object]) -> float:
    """Return how many milliseconds ``work`` takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
