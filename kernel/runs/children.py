"""Children of a run's order: checked when they are submitted, inserted by the run's next commit.

Until then they are in memory. So a handler that works on for a minute holds no lock of theirs, and
what rolls the run back leaves nothing of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select, update

from kernel.callers.identity import Identity, identity_of
from kernel.db.guard import Guard
from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, with_bit
from kernel.handlers import Child, Run
from kernel.handlers.values import revealed, to_json
from kernel.orders.accept import callback_problems, checked_order
from kernel.orders.batches.store import store_orders
from kernel.orders.submit import new_row
from kernel.runs.claim import Claimed
from kernel.runs.fence import statements_of_ours
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED

PAGE = 100
# How many children an order may have, and how many generations lie above and below each other.
MAX_CHILDREN = 10_000
MAX_DEPTH = 8
_NAMES = ("select_tag", "state", "reference", "message", "result", "error_code")
_SHOWN = (ORDERS.c.id, *(ORDERS.c[name] for name in _NAMES))


class RunChildren:
    """The children of one run's order."""

    def __init__(self, kernel: Kernel, claimed: Claimed, guard: Guard) -> None:
        self._kernel, self._order, self._guard = kernel, claimed.order, guard
        self._has = bool((claimed.order.gates or 0) & Has.CHILDREN)
        # Submitted, and in no commit yet.
        self._rows: list[dict[str, Any]] = []
        self._count: int | None = None
        # Committed by this run, and due: to be hinted.
        self.due: list[str] = []

    def __iter__(self) -> Iterator[Child]:
        after = ""
        while self._has and (page := self._page(after)):
            yield from page
            after = page[-1].order_id
            if len(page) < PAGE:
                return

    def __len__(self) -> int:
        if not self._has:
            return 0
        asked = select(GATES.c.order_id).where(GATES.c.parent_id == self._order.id)
        with statements_of_ours(self._guard), self._kernel.read() as connection:
            return len(connection.scalars(asked.limit(MAX_CHILDREN)).all())

    def submit(self, run: Run, members: Mapping[str, Any]) -> str:
        """Check a child and keep it for the run's next commit; return its id.

        Raises InvalidOrder, TypeError and ValueError for members that no order can have, and
        ValueError for one child or one generation too many.
        """
        plain = json.loads(to_json(dict(members), "members", revealed))
        with statements_of_ours(self._guard):
            self._refuse_too_many()
            owner = Identity(self._order.caller_id, "")
            request = checked_order(self._kernel, owner, plain, judge=self._problems)
            order_id = new_id(self._kernel.clock.now())
            row = new_row(self._kernel, self._order.caller_id, request, order_id, None)
        row["gates"] = row.get("gates", 0) | int(Has.PARENT)
        traced = {"request_id": run.request_id, "traceparent": run.traceparent}
        self._rows.append(row | traced)
        return order_id

    def store(self, run: Run) -> None:
        """Insert what was submitted, before anything else of a commit: see the order of locks."""
        if not self._rows:
            return
        connection = run.session.connection()
        _, waiting = store_orders(self._kernel, connection, self._rows, self._order.id)
        later = {row["id"] for row in self._rows if row.get("not_before") is not None}
        self.due += [row["id"] for row in self._rows if row["id"] not in waiting | later]

    def mark(self, run: Run) -> None:
        """Note in the order's row that it has children, right before a commit."""
        if not self._rows:
            return
        if not self._has:
            mine = update(ORDERS).where(ORDERS.c.id == self._order.id)
            run.session.execute(mine.values(gates=with_bit(Has.CHILDREN)))
        self._has, run.gates = True, (run.gates or 0) | int(Has.CHILDREN)
        for row in self._rows:
            self._kernel.metrics.count(ACCEPTED, row["select_tag"])
        self._count = (self._count or 0) + len(self._rows)
        self._rows = []

    def forget(self) -> None:
        """Forget what was submitted since the last commit: the run is rolled back to there."""
        self._rows = []

    def _page(self, after: str) -> Sequence[Child]:
        asked = (
            select(*_SHOWN)
            .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
            .where(GATES.c.parent_id == self._order.id, GATES.c.order_id > after)
            .order_by(GATES.c.order_id)
            .limit(PAGE)
        )
        with statements_of_ours(self._guard), self._kernel.read() as connection:
            rows = connection.execute(asked).all()
        return [
            Child(
                *(row.id, row.select_tag, row.state, row.reference, row.message),
                result=None if row.result is None else json.loads(row.result),
                error=row.error_code,
            )
            for row in rows
        ]

    def _refuse_too_many(self) -> None:
        if self._count is None:
            self._count = len(self)
            self._refuse_depth()
        if self._count + len(self._rows) >= MAX_CHILDREN:
            raise ValueError(f"an order has {MAX_CHILDREN} children at most")

    def _refuse_depth(self) -> None:
        parent = self._order.id if self._order.is_child else None
        with self._kernel.read() as connection:
            for _ in range(MAX_DEPTH):
                if parent is None:
                    return
                asked = select(GATES.c.parent_id).where(GATES.c.order_id == parent)
                parent = connection.scalar(asked)
        raise ValueError(f"children have children for {MAX_DEPTH} generations at most")

    def _problems(self, url: Any) -> list[dict[str, Any]]:
        """Judge a child's callback address. Without one the caller is not asked for."""
        if url is None:
            return []
        with self._kernel.read_session() as session:
            name = session.get_one(Caller, self._order.caller_id).name
            caller = identity_of(session, name)
        return callback_problems(self._kernel, caller, url)
