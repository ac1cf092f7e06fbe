"""What was promised against what is there: the checks at the end of a run.

What was promised stands in two files, the clients' 2xx answers and the receivers' callbacks; what
is there is read from the database. Nothing of kernel is asked.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.chaos.load import Order
from tests.chaos.stack import System

FINAL = {"success": 0, "warning": 1, "failed": -1, "cancelled": -1}
WORK_LOST, TWICE, CALLBACK_LOST = "lost", "doubled", "callback lost"
WRONG, LEFT = "wrong", "left behind"
KINDS = (WORK_LOST, TWICE, CALLBACK_LOST, WRONG, LEFT)


@dataclass(frozen=True)
class Finding:
    """Something that must not be. ``key`` is the order's, when it is about one."""

    kind: str
    what: str
    key: str | None = None


@dataclass
class Row:
    """An order as the database has it; times are seconds since the epoch."""

    id: str
    key: str
    state: str
    created: float
    finished: float | None
    error: str | None
    result: dict[str, Any]
    held: bool
    run: int


@dataclass
class Ledger:
    """Everything that was promised and found."""

    orders: Mapping[str, Order]
    accepted: dict[str, set[str]]
    rows: list[Row]
    projects: Counter[str]
    calls: dict[str, list[dict[str, Any]]]
    deliveries: dict[str, list[tuple[str, str]]]
    touched: int
    # When each key was first answered 2xx.
    answered: Mapping[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def check(self) -> list[Finding]:
        """Return everything that must not be."""
        by_key = defaultdict(list)
        for row in self.rows:
            by_key[row.key].append(row)
        for key, ids in self.accepted.items():
            self._check_accepted(key, ids, by_key[key])
        for row in self.rows:
            self._check_row(row)
            self._check_callback(row)
        self._check_projects()
        self._check_touched()
        return self.findings

    def _find(self, kind: str, what: str, key: str | None = None) -> None:
        self.findings.append(Finding(kind, what, key))

    def _check_accepted(self, key: str, ids: set[str], rows: list[Row]) -> None:
        if len(ids) > 1:
            self._find(TWICE, f"{len(ids)} orders for one idempotency key", key)
        for order_id in ids - {row.id for row in rows}:
            self._find(WORK_LOST, f"{order_id} was answered 2xx and is not there", key)

    def _check_row(self, row: Row) -> None:
        if row.state not in FINAL:
            self._find(WORK_LOST, f"still {row.state} after {row.run} runs", row.key)
            return
        if row.held:
            self._find(LEFT, "a lease or a connection is left in the row", row.key)
        wanted = self.orders[row.key]
        if row.state != wanted.state:
            self._find(WRONG, f"{row.state} ({row.error}), not {wanted.state}", row.key)
        if wanted.tag == "suicide" and row.error != "worker_lost":
            self._find(WRONG, f"{row.error}, not worker_lost", row.key)
        if wanted.tag == "import_projects" and row.result.get("imported") != len(wanted.rows):
            self._find(WRONG, f"says {row.result}, not {len(wanted.rows)}", row.key)

    def _check_projects(self) -> None:
        """Every row of a success exactly once; no row of an order that did not succeed."""
        ended = {row.key: row.state in ("success", "warning") for row in self.rows}
        wanted = {name: key for key, one in self.orders.items() for name in one.rows}
        for name, key in wanted.items():
            count = self.projects.pop(name, 0)
            if count > 1:
                self._find(TWICE, f"{name} is there {count} times", key)
            if count == 0 and ended.get(key, False):
                self._find(WORK_LOST, f"{name} is not there, and the order says success", key)
            if count and not ended.get(key, False) and self.orders[key].tag != "import_projects":
                self._find(WRONG, f"{name} is there, and the order has not succeeded", key)
        for name in self.projects:
            self._find(WRONG, f"nobody ordered {name}", name.partition("#")[0])

    def _check_touched(self) -> None:
        wanted = sum(
            (self.orders[row.key].tag == "touch_project" and row.state == "success")
            * 2 for row in self.rows
        )  # fmt: skip
        if self.touched != wanted:
            kind = TWICE if self.touched > wanted else WORK_LOST
            self._find(kind, f"contended rows were counted {self.touched} times, not {wanted}")

    def _check_callback(self, row: Row) -> None:
        if row.state not in FINAL:
            return
        owed = self.deliveries.get(row.id, [])
        if len(owed) != 1:
            self._find(TWICE if owed else CALLBACK_LOST, f"{len(owed)} deliveries", row.key)
        calls = self.calls.get(row.id, [])
        if not any(call["answered"] for call in calls):
            self._find(CALLBACK_LOST, f"no callback; its deliveries: {owed}", row.key)
        elif any(state != "delivered" for _, state in owed):
            self._find(LEFT, f"the callback came, and its delivery is {owed}", row.key)
        if len({call["webhook_id"] for call in calls}) > 1:
            self._find(WRONG, "callbacks with more than one webhook-id", row.key)
        if any((c["state"], c["status"]) != (row.state, FINAL[row.state]) for c in calls):
            self._find(WRONG, f"a callback does not say {row.state}", row.key)
        if not all(call["signed"] for call in calls):
            self._find(WRONG, "a callback's signature or timestamp is wrong", row.key)

    def duplicates(self) -> int:
        """How many callbacks arrived after one that was answered 2xx."""
        return sum(max(0, sum(c["answered"] for c in calls) - 1) for calls in self.calls.values())


def read(system: System, orders: Mapping[str, Order], answers: Iterable[Any]) -> Ledger:
    """Read the files and the database."""
    accepted: dict[str, set[str]] = defaultdict(set)
    answered: dict[str, float] = {}
    for answer in answers:
        accepted[answer["key"]].add(answer["order_id"])
        answered.setdefault(answer["key"], answer["at"])
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in system.calls.read():
        calls[call["order_id"]].append(call)
    deliveries: dict[str, list[tuple[str, str]]] = defaultdict(list)
    owed = "SELECT order_id, id, state FROM kernel_deliveries"
    for order_id, delivery_id, state in _all(system, owed):
        deliveries[order_id].append((delivery_id, state))
    projects = Counter(name for (name,) in _all(system, "SELECT projname FROM project_tb_project"))
    [(touched,)] = _all(system, "SELECT SUM(touched) FROM chaos_rows")
    rows = [_row(*found) for found in _all(system, _ORDERS)]
    return Ledger(orders, accepted, rows, projects, calls, deliveries, int(touched or 0), answered)


_ORDERS = """
    SELECT id, idempotency_key, state, created_at, finished_at, error_code, result,
        lease_until IS NOT NULL OR connection_id IS NOT NULL, run
    FROM kernel_orders
"""


def _all(system: System, query: str) -> list[tuple[Any, ...]]:
    rows = system.ask(query)
    assert rows is not None, "the database does not answer at the end of the run"
    return rows


def _row(order_id: str, key: str, state: str, *more: Any) -> Row:
    created, finished, error, result, held, run = more
    ended = None if finished is None else _epoch(finished)
    found = json.loads(result or "{}")
    # The switch no-idempotency adds to a key what comes after ~.
    return Row(
        order_id,
        _text(key).partition("~")[0],
        state,
        _epoch(created),
        ended,
        error,
        found,
        bool(held),
        run,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _epoch(value: Any) -> float:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC).timestamp()
