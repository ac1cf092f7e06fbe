"""What the load asked for besides orders: cancels, pauses, redeliveries, replays, pruning."""

from tests.chaos.checks.record import (
    CALLBACK_LOST,
    FINAL,
    LEFT,
    WRONG,
    Aged,
    Entry,
    Finding,
    Found,
    Record,
    Row,
)

# A handler that checkpoints every 0.1 s goes on no longer than this after a cancel was noted.
CHECKPOINT_SECONDS = 2.0
# A pause is in force after a second; what was claimed before it still goes out.
PAUSE_SECONDS = 3.0
# The sweep has pruned an aged order after this time.
PRUNED_SECONDS = 15.0
# An attempt is recorded this long after its POST; only what is recorded can be replayed.
RECORDED_SECONDS = 10.0
# The window of a replay is that of ids, whose times are those of another clock.
EDGE_SECONDS = 1.0


def check(record: Record) -> Found:
    """Hold every answer to what was asked against what happened."""
    by_key = {row.key: row for row in record.rows}
    for cancel in record.of("cancel"):
        if cancel["key"] in by_key:
            yield from _cancelled(record, cancel, by_key[cancel["key"]])
    for pause in record.of("pause"):
        yield from _paused(record, pause)
    for one in record.of("redeliver"):
        if one["answer"] == "redelivered" and not _posted(record, one["order_id"], one["asked"]):
            yield Finding(CALLBACK_LOST, "redelivered, and not sent again", one["key"])
    for replay in record.of("replay"):
        yield from _replayed(record, replay)
    for aged in record.aged.values():
        yield from _aged(record, aged)
    here = {row.id for row in record.rows if row.id not in record.pruned}
    for order_id in record.pruned & here | set(record.deliveries) - {r.id for r in record.rows}:
        yield Finding(LEFT, f"a delivery of {order_id} is there, and its order is not")


def _cancelled(record: Record, cancel: Entry, row: Row) -> Found:
    answer, state = cancel["answer"], cancel["state"]
    if answer == "cancelled" and row.state != "cancelled":
        yield Finding(WRONG, f"its cancel was answered cancelled, and it is {row.state}", row.key)
    if answer == "refused" and row.state != state:
        what = f"its cancel was refused because it was {state}, and it is {row.state}"
        yield Finding(WRONG, what, row.key)
    if answer == "noted" and state == "pending":
        yield Finding(WRONG, "its cancel was answered, and it was still pending", row.key)
    if answer != "noted" or row.state == "cancelled" or row.finished is None:
        return
    late = row.finished - cancel["answered"]
    if record.orders[row.key].checkpoints and late > CHECKPOINT_SECONDS:
        what = f"its cancel was noted, and its handler went on for {late:.1f} s"
        yield Finding(WRONG, what, row.key)


def _paused(record: Record, pause: Entry) -> Found:
    """Find the POSTs that began while a pause held."""
    if pause["from"] is None:
        return
    begins = pause["from"] + PAUSE_SECONDS
    keys = {row.id: row.key for row in record.rows}
    for order_id, calls in record.calls.items():
        for call in calls:
            if call["port"] != pause["port"] or not begins < call["at"] < pause["until"]:
                continue
            if not _stalled(record, pause["from"], call["at"]):
                late = call["at"] - pause["from"]
                what = f"a POST to a paused {pause['what']}, {late:.1f} s after the pause"
                yield Finding(WRONG, what, keys.get(order_id))


def _stalled(record: Record, begin: float, at: float) -> bool:
    """Whether what was claimed before the pause may have stood still until ``at``."""
    return any(s < begin + PAUSE_SECONDS and at < e + PAUSE_SECONDS for s, e in record.stalls)


def was_held(record: Record, row: Row) -> bool:
    """Whether a pause held the order's callback when it became owed, or soon after."""
    ports = {call["port"] for call in record.calls.get(row.id, [])}
    moment = row.finished or 0.0
    return any(
        pause["port"] in ports and pause["asked"] - RECORDED_SECONDS < moment < pause["until"]
        for pause in record.of("pause")
    )


def _posted(record: Record, order_id: str, since: float) -> bool:
    return any(call["at"] >= since for call in record.calls.get(order_id, []))


def _replayed(record: Record, replay: Entry) -> Found:
    for row in record.rows:
        if is_in(record, row, replay) and not _posted(record, row.id, replay["asked"]):
            yield Finding(CALLBACK_LOST, "replayed, and not sent again", row.key)


def is_in(record: Record, row: Row, replay: Entry) -> bool:
    """Whether a replay must have sent the callback of this order again.

    Its callback was answered and recorded when the replay was asked for, and its order not aged.
    A process that stood still between the answer and its record has recorded it afterwards.
    """
    if replay["answer"] != "replayed" or row.finished is None or row.state not in FINAL:
        return False
    inside = replay["since"] + EDGE_SECONDS < row.finished < replay["until"] - EDGE_SECONDS
    before = [c for c in record.calls.get(row.id, []) if c["at"] < replay["asked"]]
    if not inside or not before or row.id in record.aged:
        return False
    last = max(before, key=lambda call: float(call["at"]))
    recorded = last["at"] + RECORDED_SECONDS
    if any(s < recorded and replay["asked"] < e + RECORDED_SECONDS for s, e in record.stalls):
        return False
    return bool(last["answered"] and recorded < replay["asked"])


def _aged(record: Record, aged: Aged) -> Found:
    row, again = aged.row, _posted(record, aged.row.id, aged.at)
    late = record.ended - aged.at > PRUNED_SECONDS
    if aged.done and late and not again and row.id not in record.pruned:
        yield Finding(LEFT, "past retention, and not pruned", row.key)
