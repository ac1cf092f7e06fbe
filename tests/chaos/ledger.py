"""What was promised against what is there: the checks at the end of a run.

What was promised stands in files: the clients' 2xx answers, the receivers' callbacks, the answers
to polls, cancels, pauses and the like. What is there is read from the database. Nothing of kernel
is asked.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.chaos.checks import asked, attempts, contents, families, gates
from tests.chaos.checks.record import (
    CALLBACK_LOST,
    COMMITS,
    FINAL,
    KINDS,
    LEFT,
    TWICE,
    WORK_LOST,
    WRONG,
    Finding,
    Record,
    Row,
)

__all__ = [
    "CALLBACK_LOST",
    "KINDS",
    "LEFT",
    "TWICE",
    "WORK_LOST",
    "WRONG",
    "Finding",
    "Ledger",
    "Row",
]


@dataclass
class Ledger(Record):
    """The record of a run, and what is wrong with it."""

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
        for one in (contents, attempts, asked, gates, families):
            self.findings += one.check(self)
        return self.findings

    def _find(self, kind: str, what: str, key: str | None = None) -> None:
        self.findings.append(Finding(kind, what, key))

    def _check_accepted(self, key: str, ids: set[str], rows: list[Row]) -> None:
        if len(ids) > 1:
            self._find(TWICE, f"{len(ids)} orders for one idempotency key", key)
        if len(rows) > 1:
            self._find(TWICE, f"{len(rows)} rows for one idempotency key", key)
        for order_id in ids - {row.id for row in rows}:
            self._find(WORK_LOST, f"{order_id} was answered 2xx and is not there", key)

    def _check_row(self, row: Row) -> None:
        if row.state not in FINAL:
            self._find(WORK_LOST, f"still {row.state} after {row.run} runs", row.key)
            return
        if row.held:
            self._find(LEFT, "a lease or a connection is left in the row", row.key)
        wanted = self.orders[row.key]
        if row.state == "cancelled" and self.cancels(row.key):
            return
        if row.error == "expired" and wanted.closes_in is not None:
            return
        if row.state != wanted.state:
            self._find(WRONG, f"{row.state} ({row.error}), not {wanted.state}", row.key)
        if wanted.error and row.error != wanted.error:
            self._find(WRONG, f"{row.error}, not {wanted.error}", row.key)
        result = wanted.result()
        if wanted.state in ("success", "warning") and result not in (None, row.result):
            self._find(WRONG, f"says {row.result}, not {result}", row.key)

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
            if count and not ended.get(key, False) and self.orders[key].tag not in COMMITS:
                self._find(WRONG, f"{name} is there, and the order has not succeeded", key)
        for name in self.projects:
            self._find(WRONG, f"nobody ordered {name}", name.partition("#")[0])

    def _check_touched(self) -> None:
        """Every contended row was counted once for each success that touched it."""
        wanted: Counter[str] = Counter()
        for row in self.rows:
            order = self.orders[row.key]
            if order.tag == "touch_project" and row.state == "success":
                wanted.update((order.body["first"], order.body["second"]))
        for name in sorted({*wanted, *self.touched}):
            found = self.touched.get(name, 0)
            if found != wanted[name]:
                kind = TWICE if found > wanted[name] else WORK_LOST
                self._find(kind, f"row {name} was counted {found} times, not {wanted[name]}")

    def _check_callback(self, row: Row) -> None:
        if row.state not in FINAL:
            return
        owed = self.deliveries.get(row.id, [])
        if not self.orders[row.key].callback:
            if owed or row.id in self.calls:
                self._find(WRONG, "a callback, and none was ordered", row.key)
            return
        if len(owed) != 1:
            self._find(TWICE if owed else CALLBACK_LOST, f"{len(owed)} deliveries", row.key)
        calls = self.calls.get(row.id, [])
        if not any(call["answered"] for call in calls):
            self._find(CALLBACK_LOST, f"no callback; its deliveries: {owed}", row.key)
        elif any(state != "delivered" for _, state in owed):
            self._find(LEFT, f"the callback came, and its delivery is {owed}", row.key)
        if owed and not {call["webhook_id"] for call in calls} <= {one for one, _ in owed}:
            self._find(WRONG, "a callback with the webhook-id of another order", row.key)
        if len({call["webhook_id"] for call in calls}) > 1:
            self._find(WRONG, "callbacks with more than one webhook-id", row.key)
        if not all(call["signed"] for call in calls):
            self._find(WRONG, "a callback's signature or timestamp is wrong", row.key)

    def duplicates(self) -> int:
        """How many callbacks arrived again after one that was answered 2xx, without being asked."""
        answered = (sum(call["answered"] for call in calls) for calls in self.calls.values())
        again = sum(max(0, count - 1) for count in answered)
        return max(0, again - self._asked_again())

    def _asked_again(self) -> int:
        redelivered = sum(one["answer"] == "redelivered" for one in self.of("redeliver"))
        return redelivered + sum(int(one["count"]) for one in self.of("replay"))

    def asked_figures(self) -> dict[str, int]:
        """Return how much was asked for besides orders, and how often that had an effect."""
        cancels = Counter(one["answer"] for one in self.of("cancel"))
        return {
            "polls": sum(map(len, self.polls.values())),
            "cancels that ended a pending order": cancels["cancelled"],
            "cancels noted for a running order": cancels["noted"],
            "cancels refused": cancels["refused"],
            "pauses": len(self.of("pause")),
            "callbacks asked for again": self._asked_again(),
            "orders pruned": len(self.pruned),
            "attempts without a row": attempts.lost(self),
            "processes killed": len(self.deaths),
        }
