"""What callbacks and polls say, compared with what was ordered and with each other."""

from typing import Any

from tests.chaos.checks.record import FINAL, WRONG, Entry, Finding, Found, Record, Row
from tests.chaos.orders import Order

# What a callback and a poll of the same outcome have in common.
COMMON = ("order_id", "select_tag", "state", "result", "error", "created_at", "finished_at")
COMMON += ("ordering_key", "sequence")
UNFINISHED = {"pending", "running"}


def check(record: Record) -> Found:
    """Compare every callback and every GET of each order with what was ordered."""
    for row in record.rows:
        wanted = record.orders[row.key]
        for call in record.calls.get(row.id, []):
            for what in _outcome(row, wanted, call):
                yield Finding(WRONG, f"a callback {what}", row.key)
        yield from _polls(record, row, wanted)


def _polls(record: Record, row: Row, wanted: Order) -> Found:
    ended = False
    for poll in record.polls.get(row.id, []):
        final = poll["state"] in FINAL
        if ended and not final:
            yield Finding(WRONG, f"a GET says {poll['state']} after its end", row.key)
        ended = ended or final
        for what in _outcome(row, wanted, poll) if final else _unfinished(row, wanted, poll):
            yield Finding(WRONG, f"a GET {what}", row.key)
        if poll["code"] != (200 if final else 202):
            yield Finding(WRONG, f"a GET of {poll['state']} answers {poll['code']}", row.key)
        if not poll["args"]:
            yield Finding(WRONG, "a GET has other arguments than were ordered", row.key)
        if final:
            yield from _like_callbacks(record, row, poll)
    polled = row.key in record.accepted  # a child's id is told to its parent alone
    if record.polls and polled and not ended and row.state in FINAL:
        yield Finding(WRONG, "no GET has told its end", row.key)


def _like_callbacks(record: Record, row: Row, poll: Entry) -> Found:
    for call in record.calls.get(row.id, []):
        for name in COMMON:
            if call["data"].get(name) != poll["data"].get(name):
                yield Finding(WRONG, f"a GET and a callback have another {name}", row.key)


def _unfinished(row: Row, wanted: Order, said: Entry) -> list[str]:
    names = _names(row, wanted, said)
    if said["state"] not in UNFINISHED or said["status"] != 2:
        names.append(f"says {said['state']} and {said['status']}")
    if {"result", "error"} & set(said["data"]):
        names.append(f"has an outcome and says {said['state']}")
    return names


def _outcome(row: Row, wanted: Order, said: Entry) -> list[str]:
    """Return what is wrong with what was said about an order that has ended."""
    wrong = _names(row, wanted, said)
    if (said["state"], said["status"]) != (row.state, FINAL.get(row.state)):
        wrong.append(f"does not say {row.state}")
    expected = outcome(wanted, row.state)
    if expected is None:
        return wrong
    data = said["data"]
    found: dict[str, Any] = {name: data[name] for name in ("result", "error") if name in data}
    if "error" in found:
        found["error"] = found["error"]["code"]
    if found != expected:
        wrong.append(f"says {found}, not {expected}")
    return wrong


def _names(row: Row, wanted: Order, said: Entry) -> list[str]:
    data = said["data"]
    given = {"order_id": row.id, "select_tag": wanted.tag}
    return [f"says {data.get(n)}, not {one}" for n, one in given.items() if data.get(n) != one]


def outcome(order: Order, state: str) -> dict[str, Any] | None:
    """Return the result or the error's code that an order in ``state`` must have.

    None where the ledger cannot compute it: for handlers of a fault's own.
    """
    if state == "cancelled":
        return {"error": "cancelled"}
    if state != order.state:
        return None  # found already, as a state that was not wanted
    if state == "failed":
        return {"error": order.error} if order.error else None
    result = order.result()
    return None if result is None else {"result": result}
