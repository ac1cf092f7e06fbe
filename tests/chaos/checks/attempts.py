"""Attempts' rows against the POSTs that the receivers counted.

Every POST that a receiver has read has an attempt's row. One is missing only when its sender was
killed before the row was committed: a process that dies loses the record of at most one attempt
per delivery, since it holds the delivery's claim until the attempt is recorded.
"""

from collections.abc import Iterable, Sequence

from tests.chaos.checks.record import WRONG, Entry, Finding, Found, Record

# The longest time from a POST to the commit of its row: a callback's timeout (2 s), a batch of
# attempts (0.2 s), and a database that is away, or a process that is frozen, meanwhile.
RECORD_SECONDS = 15.0
# A receiver notes a POST a little after, and a kill is noticed a little late or early.
MARGIN_SECONDS = 0.5


def check(record: Record) -> Found:
    """Compare the rows of every delivery with its POSTs."""
    for row in record.rows:
        aged = record.aged.get(row.id)
        until = aged.at if aged is not None and row.id in record.pruned else None
        calls = [c for c in record.calls.get(row.id, []) if until is None or c["at"] < until]
        for delivery_id, _ in record.deliveries.get(row.id, []):
            statuses = record.attempts.get(delivery_id, [])
            posts = [call for call in calls if call["webhook_id"] == delivery_id]
            answered = sum(status is not None for status in statuses)
            if answered > len(posts):
                what = f"{answered} attempts were answered, and receivers counted {len(posts)}"
                yield Finding(WRONG, what, row.key)
            missing = len(posts) - len(statuses)
            if missing > explained(posts, record.deaths):
                what = f"{len(posts)} POSTs and {len(statuses)} attempts' rows"
                yield Finding(WRONG, what, row.key)


def explained(posts: Iterable[Entry], deaths: Sequence[float]) -> int:
    """Return how many of these POSTs lost their record to a killed sender at the most.

    Each death explains one POST of a delivery, one that it may have interrupted.
    """
    left, count = sorted(deaths), 0
    for at in sorted(post["at"] for post in posts):
        fits = [d for d in left if at - MARGIN_SECONDS <= d <= at + RECORD_SECONDS]
        if fits:
            left.remove(fits[0])
            count += 1
    return count


def lost(record: Record) -> int:
    """Return how many attempts have no row."""
    rows = sum(len(statuses) for statuses in record.attempts.values())
    begun = sum(len(calls) for calls in record.calls.values())
    return max(0, begun - rows)
