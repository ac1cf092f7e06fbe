"""Reads what is there at the end of a run: the files, and the rows of the database."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.chaos.checks.record import Aged, Entry, Row
from tests.chaos.ledger import Ledger
from tests.chaos.orders import Order
from tests.chaos.receiver import Book
from tests.chaos.stack import System


class Books:
    """The files of a run: clients' answers, and what the rest of the load was told."""

    def __init__(self, answers: Book, polls: Book, asked: Book) -> None:
        self.answers, self.polls, self.asked = answers, polls, asked


def read(
    system: System, orders: Mapping[str, Order], books: Books, aged: Mapping[str, Aged]
) -> Ledger:
    """Read the files and the database. Orders that were aged are as they were before."""
    accepted: dict[str, set[str]] = defaultdict(set)
    answered: dict[str, float] = {}
    for answer in books.answers.read():
        accepted[answer["key"]].add(answer["order_id"])
        answered.setdefault(answer["key"], answer["at"])
    projects = Counter(name for (name,) in _all(system, "SELECT projname FROM project_tb_project"))
    rows = {row.id: row for row in (_row(*found) for found in _all(system, _ORDERS))}
    deliveries, tried = _deliveries(system)
    pruned = frozenset(aged) - set(rows)
    for order_id, one in aged.items():
        rows[order_id] = one.row
        if order_id in pruned:
            deliveries.setdefault(order_id, one.deliveries)
            tried.update({delivery_id: one.attempts for delivery_id, _ in one.deliveries})
    return Ledger(
        orders,
        accepted,
        list(rows.values()),
        projects,
        calls=_grouped(system.calls.read(), "order_id"),
        deliveries=deliveries,
        touched=dict(_all(system, "SELECT name, touched FROM chaos_rows")),
        attempts=tried,
        polls=_grouped(books.polls.read(), "order_id"),
        asked=_grouped(books.asked.read(), "kind"),
        aged=aged,
        pruned=pruned,
        answered=answered,
        effects=_grouped(system.effects.book.read(), "order_id"),
        steps=_steps(system),
        ended=time.time(),
    )


def _grouped(entries: Iterable[Entry], name: str) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry[name]].append(entry)
    return groups


def snapshot(system: System, order_id: str) -> Aged | None:
    """Read an order with its callback; None when that is not over, or the database is away."""
    found = system.ask(f"{_ORDERS} WHERE id = '{order_id}'")
    owed = system.ask(f"{_DELIVERIES} WHERE order_id = '{order_id}'")
    if not found or not owed or len(owed) != 1 or owed[0][2] != "delivered":
        return None
    delivery_id = _text(owed[0][1])
    made = system.ask(f"{_ATTEMPTS} WHERE delivery_id = '{delivery_id}'")
    if made is None:
        return None
    statuses = [status for _, status in made]
    return Aged(_row(*found[0]), [(delivery_id, "delivered")], statuses, time.time())


# A child has no idempotency key, and its reference instead: its key and the run that made it.
_ORDERS = """
    SELECT id, COALESCE(idempotency_key, reference), state, kernel_orders.created_at, finished_at,
        error_code, result, lease_until IS NOT NULL OR connection_id IS NOT NULL, run,
        COALESCE((SELECT MIN(began_at) FROM kernel_runs ran WHERE ran.order_id = kernel_orders.id
            AND how <> 'not_begun'), started_at), parent_id
    FROM kernel_orders LEFT JOIN kernel_gates ON order_id = id
"""
_DELIVERIES = "SELECT order_id, id, state FROM kernel_deliveries"
_STEPS = "SELECT order_id, name, attempts, done_at IS NOT NULL FROM kernel_steps"
_ATTEMPTS = "SELECT delivery_id, status FROM kernel_attempts"


def _deliveries(
    system: System,
) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[int | None]]]:
    """Return the deliveries of every order, and the statuses of every delivery's attempts."""
    owed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for order_id, delivery_id, state in _all(system, _DELIVERIES):
        owed[_text(order_id)].append((_text(delivery_id), _text(state)))
    tried: dict[str, list[int | None]] = defaultdict(list)
    for delivery_id, status in _all(system, _ATTEMPTS):
        tried[_text(delivery_id)].append(status)
    return owed, tried


def _steps(system: System) -> dict[str, dict[str, tuple[int, bool]]]:
    """Return the steps of every order by their names: their attempts, and whether they are done."""
    steps: dict[str, dict[str, tuple[int, bool]]] = defaultdict(dict)
    for order_id, name, tried, done in _all(system, _STEPS):
        steps[_text(order_id)][_text(name)] = tried, bool(done)
    return steps


def _all(system: System, query: str) -> list[tuple[Any, ...]]:
    rows = system.ask(query)
    assert rows is not None, "the database does not answer at the end of the run"
    return rows


def _row(order_id: str, key: str, state: str, *more: Any) -> Row:
    created, finished, error, result, held, run, started, parent = more
    ended = None if finished is None else _epoch(finished)
    began = None if started is None else _epoch(started)
    found, held = json.loads(result or "{}"), bool(held)
    # The switch no-idempotency adds to a key what comes after ~.
    key, _, by = _text(key).partition("~")[0].partition("@")
    row = Row(order_id, key, state, _epoch(created), ended, error, found, held, run, began)
    row.parent, row.by = None if parent is None else _text(parent), int(by) if by else None
    return row


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _epoch(value: Any) -> float:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC).timestamp()
