"""Tags and callers side by side: what they have now, and over a time."""

from datetime import timedelta

from sqlalchemy import insert, select

from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.trends.parts import COUNTED, LOOKED_AT, Row, rows_of
from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind
from kernel.runtime.kernel import Kernel
from tests.support.clients import new_key
from tests.support.factories import make_order

HOUR = timedelta(hours=1)


def listed(kernel: Kernel, kind: Kind) -> dict[str, Row]:
    return {one.part.name: one for one in rows_of(kernel, Trends(kernel), Span.HOUR, kind)}


def test_tag_says_what_is_pending_and_since_when_it_is_due(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, select_tag="slow", run_after=now - 5 * MINUTE)
    make_order(kernel, select_tag="slow", run_after=now - 9 * MINUTE)
    make_order(kernel, select_tag="slow", run_after=now + HOUR)
    make_order(kernel, select_tag="slow", state="running")
    make_order(kernel, select_tag="later", run_after=now + HOUR)
    found = listed(kernel, Kind.TAG)
    slow, later = found["slow"].now, found["later"].now
    assert slow is not None
    assert later is not None
    assert (slow.pending, slow.running, slow.oldest) == (3, 1, now - 9 * MINUTE)
    assert (later.pending, later.oldest) == (1, None), "it asked to wait"
    assert next(iter(found)) == "slow", "the longest queue comes first"


def test_oldest_order_of_a_tag_is_found_behind_many_that_asked_to_wait(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for _ in range(LOOKED_AT + 5):
        make_order(kernel, select_tag="slow", run_after=now + HOUR)
    make_order(kernel, select_tag="slow", run_after=now - 9 * MINUTE)
    at = listed(kernel, Kind.TAG)["slow"].now
    assert at is not None
    assert at.oldest == now - 9 * MINUTE


def test_caller_says_what_is_pending_and_since_when_it_is_due(kernel: Kernel) -> None:
    now = kernel.clock.now()
    new_key(kernel, "zammad")
    with kernel.read_session() as session:
        zammad = session.scalars(select(Caller.id).where(Caller.name == "zammad")).one()
    for caller_id, ago in ((1, 2), (zammad, 7), (zammad, 3)):
        make_order(kernel, caller_id=caller_id, priority=ago, run_after=now - ago * MINUTE)
    make_order(kernel, caller_id=zammad, state="running")
    found = listed(kernel, Kind.CALLER)
    at = found["zammad"].now
    assert at is not None
    assert (at.pending, at.running, at.oldest) == (2, 1, now - 7 * MINUTE)
    assert next(iter(found)) == "zammad"


def test_growth_is_what_was_accepted_beyond_what_ended(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for number in range(6):
        over = {"state": "success", "finished_at": now} if number % 3 == 0 else {}
        make_order(kernel, select_tag="growing", **over)
    row = listed(kernel, Kind.TAG)["growing"]
    assert (row.total.accepted, row.total.finished) == (6, 2)
    assert 0 < row.growth < 4 / 59


def test_count_of_a_queue_stops_at_a_limit(kernel: Kernel) -> None:
    now, url = kernel.clock.now(), "https://receiver.example/"
    one = {"caller_id": 1, "select_tag": "create_project", "args": "{}", "callback_url": url}
    one |= {"fingerprint": "0" * 64, "created_at": now, "run_after": now, "state": "pending"}
    with kernel.write_session() as session:
        more = [one | {"id": new_id(now)} for _ in range(COUNTED + 5)]
        session.execute(insert(ORDERS), more)
    for kind, name in ((Kind.TAG, "create_project"), (Kind.CALLER, "anonymous")):
        at = listed(kernel, kind)[name].now
        assert at is not None
        assert at.pending == COUNTED
