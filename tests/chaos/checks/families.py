"""Parents with their children, and batches: each member is there once and counted as it ended."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.chaos.checks.record import FINAL, TWICE, WORK_LOST, WRONG, Finding, Found, Record, Row
from tests.chaos.orders import BATCH_TAG, root_of

# A time is read back with microseconds.
SLACK_SECONDS = 0.001


def check(record: Record) -> Found:
    """Compare what a parent or a batch says with the rows of its children."""
    children: dict[str, list[Row]] = defaultdict(list)
    for row in record.rows:
        if row.parent is not None:
            children[row.parent].append(row)
    for row in record.rows:
        family = record.orders[row.key].family
        if family and row.state in FINAL and not record.cancels(row.key):
            yield from _members(record, row, children.get(row.id, []))
            yield from _told(record, row, children.get(row.id, []))
            if not record.clock_was_set:
                yield from _ended(row, children.get(row.id, []))
    for parent_id in set(children) - {row.id for row in record.rows}:
        for child in children[parent_id]:
            yield Finding(WRONG, "a child of an order that is not there", child.key)


def _members(record: Record, row: Row, children: Sequence[Row]) -> Found:
    """Each member is there once, and belongs to the one run whose commit has stored it."""
    wanted = record.orders[row.key]
    found = Counter(child.key for child in children)
    for one in wanted.family:
        count = found.pop(one.key, 0)
        if count == 0:
            yield Finding(WORK_LOST, "a child is not there, and its parent has ended", one.key)
        if count > 1:
            yield Finding(TWICE, f"a child is there {count} times", one.key)
    for key in found:
        yield Finding(WRONG, f"a child of {root_of(key)}, and its parent is {row.key}", key)
    if wanted.tag == BATCH_TAG:
        return
    places = {one.key: n for n, one in enumerate(wanted.family)}
    late = [child for child in children if places.get(child.key, -1) >= wanted.half]
    early = [child for child in children if 0 <= places.get(child.key, -1) < wanted.half]
    for commit in (early, late):
        runs = sorted({child.by or 0 for child in commit})
        if len(runs) > 1:
            yield Finding(WRONG, f"children of one commit were made by runs {runs}", row.key)
    if wanted.rolls_back and any(child.by == 1 for child in late):
        yield Finding(WRONG, "a child of a run that was rolled back", row.key)


def _told(record: Record, row: Row, children: Sequence[Row]) -> Found:
    """The outcome counts the children by the states that their rows have."""
    if row.state not in ("success", "warning"):
        return
    states = Counter(child.state for child in children)
    is_batch = record.orders[row.key].tag == BATCH_TAG
    counts = {"orders": len(children), **states} if is_batch else dict(states)
    said = row.result if is_batch else row.result.get("children")
    if said != counts:
        yield Finding(WRONG, f"counts {said}, and its children's rows are {counts}", row.key)


def _ended(row: Row, children: Sequence[Row]) -> Found:
    """A parent that waits for its children ends after each of them."""
    for child in children:
        ended = child.finished
        if ended is None or row.finished is None or ended > row.finished + SLACK_SECONDS:
            yield Finding(WRONG, "its parent ended before it", child.key)
