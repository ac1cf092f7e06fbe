"""Switches that take away what keeps one failure from stopping its neighbours.

As those of `tests.chaos.breaks`, which has them among its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import false

from kernel.cli.local import processes
from kernel.db.dialects import mysql
from kernel.orders import due, transitions
from kernel.worker.maintenance import bring_forward, known_tags, set_aside
from kernel.worker.services import sending, takeover
from tests.chaos.switch import Break


def leaks_slots() -> None:
    def put(self: Any, due: Any) -> None:
        self._senders.submit(self._send, due)

    sending.Sending._put = put  # type: ignore[method-assign]


def keeps_the_unfit() -> None:
    mysql.MySQL.may_be_unfit = lambda self, error: False  # type: ignore[method-assign]


def counts_nothing() -> None:
    decide = transitions.decide
    transitions.decide = lambda exit_, row: decide(exit_, replace(row, broken=0))


def passes_unlisted() -> None:
    mysql.MySQL.is_passing = lambda self, error: True  # type: ignore[method-assign]


def stops_at_poison() -> None:
    def do_each(
        self: Any, rows: Iterable[Any], work: Callable[[Any], object], key: Callable[[Any], str]
    ) -> None:
        for row in rows:
            work(row)

    set_aside.SetAside.do_each = do_each  # type: ignore[method-assign]


def counts_standstill() -> None:
    known_tags.unbroken_for = lambda *_: timedelta(days=9000)


def no_successor() -> None:
    processes.Process.asks_for_successor = lambda self: False  # type: ignore[method-assign]


def no_takeover() -> None:
    takeover.take_over = lambda *_: True


def no_neighbours() -> None:
    takeover.Neighbours.run = lambda self: None


def forgets_set_clocks() -> None:
    bring_forward.bring_orders_forward = lambda kernel: 0
    due.NEVER_PUT_OFF = false()


MENDS: Mapping[str, Break] = {
    "leaks-slots": Break("a sender's place is not given back when no thread can be started",
        ("thread-limit",), "lost", "still", leaks_slots, times=2),
    "keeps-the-unfit": Break("connections to a server that is read-only are kept",
        ("read-only",), "wrong", "the address leads elsewhere", keeps_the_unfit, times=1),
    "counts-nothing": Break("broken runs are not counted", ("passing-errors",),
        "wrong", "not keeps_breaking", counts_nothing, times=1),
    "passes-unlisted": Break("an error that stands in no list counts as passing",
        ("unlisted-error",), "wrong", "not internal_error", passes_unlisted, times=1),
    "stops-at-poison": Break("a row that cannot be written is not set aside",
        ("poison-rows",), "wrong", "wait behind a poisoned row", stops_at_poison, times=1),
    "counts-standstill": Break("an hour without sweeps counts as an hour of sweeps",
        ("standstill",), "wrong", "unknown_select_tag", counts_standstill, times=1),
    "no-successor": Break("no second main process starts beside one that takes nothing new",
        ("half-dead-worker",), "wrong", "its worker is half dead", no_successor, times=1),
    "no-takeover": Break("orders of a killed pool process wait for the end of their leases",
        ("pool-kill",), "wrong", "not taken over from a killed process", no_takeover, times=2),
    "no-neighbours": Break("orders of a worker that is killed as a whole wait for their leases",
        ("worker-whole-kill",), "wrong", "not taken over from a killed worker", no_neighbours,
        times=2),
    "forgets-set-clocks": Break("orders accepted before the clock was set back wait for their time",
        ("database-ahead",), "lost", "still pending", forgets_set_clocks, times=1),
}  # fmt: skip
