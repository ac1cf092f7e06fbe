"""Skip scans, pages and their plans: the answers of plain queries, found by an index."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text

from kernel.db.ids import new_id
from kernel.db.statements.keyset import Walk
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind
from tests.support.factories import make_order

ORIGINS = ["https://a.example:443", "https://B.example:443", "https://b.example:443", "http://a:1"]
LANES = st.tuples(
    st.sampled_from(["pending", "held", "dead"]), st.booleans(), st.sampled_from(ORIGINS)
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(lanes=st.lists(st.tuples(LANES, st.integers(0, 1000)), min_size=1, max_size=40))
def test_skip_scan_finds_what_a_plain_query_finds(
    kernel: Kernel, lanes: list[tuple[tuple[str, bool, str], int]]
) -> None:
    now = kernel.clock.now()
    order_id = make_order(kernel)
    rows = [
        {
            "id": new_id(now),
            "order_id": order_id,
            "caller_id": 1,
            "state": state,
            "is_retry": is_retry,
            "origin": origin,
            "url": "https://a.example/",
            "body": b"",
            "created_at": now,
            "next_attempt_at": now + timedelta(seconds=seconds),
        }
        for (state, is_retry, origin), seconds in lanes
    ]
    ends = func.min(DELIVERIES.c.next_attempt_at), func.max(DELIVERIES.c.next_attempt_at)
    scan = skip_scan(STATE_AND_LANE, *ends).where(DELIVERIES.c.state.in_(["pending", "dead"]))
    with kernel.write() as connection:
        connection.execute(delete(DELIVERIES))
        connection.execute(insert(DELIVERIES), rows)
        found = [tuple(row) for row in connection.execute(scan)]
    times: dict[tuple[str, bool, int, str], list[int]] = {}
    for (state, is_retry, origin), seconds in lanes:
        if state != "held":
            times.setdefault((state, is_retry, 1, origin), []).append(seconds)
    expected = [
        (*lane, now + timedelta(seconds=min(at)), now + timedelta(seconds=max(at)))
        for lane, at in times.items()
    ]
    assert sorted(found) == sorted(expected)


def an_order(kernel: Kernel, number: int) -> dict[str, Any]:
    """Return the row of an order; one of five is pending."""
    now = kernel.clock.now()
    return {
        "id": new_id(now),
        "caller_id": 1,
        "select_tag": "create_project",
        "args": "{}",
        "callback_url": "https://a.example/",
        "fingerprint": "0" * 64,
        "created_at": now,
        "run_after": now,
        "state": "success" if number % 5 else "pending",
    }


def test_page_of_a_state_is_whole_and_found_by_its_index(kernel: Kernel, kind: Kind) -> None:
    with kernel.write() as connection:
        connection.execute(insert(ORDERS), [an_order(kernel, number) for number in range(1500)])
    with kernel.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(kind.analyze.format(table="kernel_orders")))
    pending = ORDERS.c.state == "pending"
    walk = Walk(ORDERS, "ix_kernel_orders_state_id", [ORDERS.c.id], [pending], up=True)
    with kernel.read() as connection:
        every = connection.scalars(select(ORDERS.c.id).where(pending)).all()
        edge, seen = None, list[str]()
        while page := connection.scalars(walk.along(select(ORDERS.c.id), edge).limit(70)).all():
            seen += page
            edge = (page[-1],)
        query = walk.along(select(ORDERS.c.id), (seen[5],)).limit(10)
        said = query.compile(kernel.engine, compile_kwargs={"literal_binds": True})
        plan = kind.plan(connection, str(said))
    assert seen == sorted(every)
    assert kind.by_index(plan), plan
