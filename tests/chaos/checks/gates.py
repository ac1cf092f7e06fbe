"""Orders of one key in their order and alone, windows kept, steps done once for the record."""

from collections import defaultdict
from itertools import pairwise

from tests.chaos.checks.record import TWICE, WORK_LOST, WRONG, Finding, Found, Record, Row
from tests.chaos.gated_handlers import AT_ONCE

# A time is read back with microseconds, and compared with one that was told.
SLACK_SECONDS = 0.001
LOCK_SECONDS = 0.1


def check(record: Record) -> Found:
    """Compare what keys, windows and steps promise with what is there."""
    yield from _keys(record)
    if not record.clock_was_set:
        yield from _limit(record)
    for row in record.rows:
        yield from _window(record, row)
        if record.orders[row.key].tag == "stepped_project":
            yield from _steps(record, row)
        if record.orders[row.key].tag == "approved_project" and row.state == "success":
            yield from _events(record, row)


def _keys(record: Record) -> Found:
    lanes: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in record.rows:
        wanted = record.orders[row.key]
        if wanted.tag != "keyed_project":
            continue
        said = [call["data"] for call in record.calls.get(row.id, [])]
        sequence = said[0].get("sequence") if said else None
        if any(one.get("ordering_key") != wanted.body["ordering_key"] for one in said):
            yield Finding(WRONG, "a callback does not say its key", row.key)
        if row.state != "success" or not said:
            continue
        if not isinstance(sequence, int):
            yield Finding(WRONG, "a callback does not say its place", row.key)
        elif not row.result.get("alone"):
            yield Finding(WRONG, "another order of its key began before its end", row.key)
        elif row.id not in record.aged:  # places begin anew when all orders of a key are pruned
            lanes[wanted.body["lane"]].append((row.result.get("turn", 0), sequence, row.key))
    for lane, ended in lanes.items():
        yield from _turns(lane, sorted(ended))


def _turns(lane: str, ended: list[tuple[int, int, str]]) -> Found:
    """Compare the turns in which orders of a key ended with their places."""
    places = [sequence for _, sequence, _ in ended]
    if len(set(places)) < len(places):
        yield Finding(WRONG, f"two orders of {lane} have the same place")
    for (_, before, _), (_, after, key) in pairwise(ended):
        if after < before:
            yield Finding(WRONG, f"place {after} of its key ended after {before}", key)


def _limit(record: Record) -> Found:
    """Find orders of the tag with a limit that ran at once: of one run, from its begin to its end.

    A statement has the time at which it began, and may have waited for a lock since.
    """
    moments: list[tuple[float, int, str]] = []
    for row in record.rows:
        if record.orders[row.key].tag != "limited_project" or row.run != 1:
            continue
        if row.started is None or row.finished is None:
            continue
        begin, end = row.started + LOCK_SECONDS, row.finished - LOCK_SECONDS
        if begin < end:
            moments += [(begin, 1, row.key), (end, -1, row.key)]
    running = 0
    for _, change, key in sorted(moments):
        running += change
        if change > 0 and running > AT_ONCE:
            yield Finding(WRONG, f"{running} orders of a limit of {AT_ONCE} ran at once", key)


def _window(record: Record, row: Row) -> Found:
    opens, closes = record.windows.get(row.key, (None, None))
    if row.started is not None and opens is not None and row.started < opens - SLACK_SECONDS:
        early = opens - row.started
        yield Finding(WRONG, f"it began {early:.3f} s before its not_before", row.key)
    if row.started is not None and closes is not None and row.started > closes + SLACK_SECONDS:
        late = row.started - closes
        yield Finding(WRONG, f"it began {late:.3f} s after its not_after", row.key)
    if row.error == "expired" and (closes is None or row.finished is None or row.finished < closes):
        yield Finding(WRONG, "it expired before its not_after", row.key)
    if row.error == "expired" and row.started is not None:
        yield Finding(WRONG, "it expired although it had begun", row.key)


def _events(record: Record, row: Row) -> Found:
    """An order that was told an event has been given it once; the others ended by the time.

    So did those whose time a clock that was set forward has passed.
    """
    told, wanted = row.result.get("told", []), [row.key] if record.orders[row.key].told else []
    if len(told) > len(wanted):
        yield Finding(TWICE, f"it was told {told}, not {wanted}", row.key)
    elif told != wanted and not record.clock_was_set:
        yield Finding(WORK_LOST, f"it was told {told}, not {wanted}", row.key)


def _steps(record: Record, row: Row) -> Found:
    effects = record.effects.get(row.id, [])
    keys = {one["idempotency_key"] for one in effects}
    if len(keys) > 1:
        yield Finding(TWICE, f"{len(keys)} idempotency keys of one step", row.key)
    steps = record.steps.get(row.id, {})
    attempts, _ = steps.get("reserve", (None, False))
    if attempts is not None and len(effects) > attempts:
        yield Finding(TWICE, f"{len(effects)} requests in {attempts} attempts of a step", row.key)
    if row.state != "success":
        return
    numbers = {one["number"] for one in effects if one["number"] is not None}
    if not numbers:
        yield Finding(WORK_LOST, "a step had no effect, and the order says success", row.key)
    elif row.result.get("reserved") not in numbers:
        yield Finding(WRONG, f"says {row.result}, and its step was answered {numbers}", row.key)
    if steps and not all(done for _, done in steps.values()):
        yield Finding(WRONG, "a step is not recorded, and the order says success", row.key)
