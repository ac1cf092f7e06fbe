"""Switches that take away what keeps children to their parents and batches to one answer.

As those of `tests.chaos.breaks`, which has them among its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from kernel.db.ids import new_id
from kernel.db.tables.orders import ORDERS
from kernel.orders import cancel
from kernel.orders.batches import accept
from kernel.orders.gates import children as families
from kernel.runs import execute
from kernel.runs.children import RunChildren
from kernel.views.http import requests
from kernel.worker.maintenance.gates import windows
from tests.chaos.mutants import MILD
from tests.chaos.switch import Break


def children_at_once() -> None:
    submit = RunChildren.submit

    def at_once(self: Any, run: Any, members: Mapping[str, Any]) -> str:
        child_id = submit(self, run, members)
        with self._kernel.write_session() as session:
            apart = SimpleNamespace(session=session, gates=run.gates)
            self.store(apart)
            self.mark(apart)
        return child_id

    RunChildren.submit = at_once  # type: ignore[method-assign]


def children_again() -> None:
    mark = RunChildren.mark

    def keeping(self: Any, run: Any) -> None:
        rows, now = self._rows, self._kernel.clock.now()
        mark(self, run)
        self._rows = [{**row, "id": new_id(now)} for row in rows]

    RunChildren.mark = keeping  # type: ignore[method-assign]


def children_forgotten() -> None:
    store = RunChildren.store

    def all_but_one(self: Any, run: Any) -> None:
        self._rows = self._rows[:-1] or self._rows
        store(self, run)

    RunChildren.store = all_but_one  # type: ignore[method-assign]


def parents_left() -> None:
    execute.with_parent = cancel.with_parent = lambda kernel, end: end
    windows.childless = lambda session, parent_ids: []


def wakes_early() -> None:
    families.live_child = lambda parent_id: select(ORDERS.c.id).where(ORDERS.c.id == "").limit(1)


def batch_again() -> None:
    sent = requests.BatchSubmission
    requests.BatchSubmission = lambda who, members, key, *more: sent(who, members, None, *more)  # type: ignore[assignment,misc]


def items_again() -> None:
    check = accept.check_orders

    def keyless(*given: Any) -> Any:
        checked, refused = check(*given)
        return [replace(one, key=None) for one in checked], refused

    accept.check_orders = keyless


UNFATHERED: Mapping[str, Break] = {
    "children-at-once": Break("a child is stored at once, not by its run's next commit",
        ("children-kill",), "wrong", "a run that was rolled back", children_at_once, times=1),
    "children-again": Break("what a commit has stored of children is stored by the next one, too",
        MILD, "doubled", "a child is there", children_again, times=1),
    "children-forgotten": Break("of the children of one commit the last is not stored", MILD,
        "lost", "a child is not there", children_forgotten, times=1),
    "parents-left": Break("a parent is not asked for when its children have ended", MILD,
        "lost", "still waiting", parents_left, times=1),
    "wakes-early": Break("parents and batches go on while children are live", MILD,
        "wrong", "its children's rows", wakes_early, times=1),
    "batch-again": Break("the key of a batch is ignored", MILD,
        "doubled", "orders for one idempotency key", batch_again, times=1),
    "items-again": Break("the keys of a batch's orders are ignored", MILD,
        "doubled", "is there 2 times", items_again, times=1),
}  # fmt: skip
