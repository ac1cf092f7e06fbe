"""Values of an index's first columns, found by jumps. On both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.dialects import mysql

from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order

TIMES = func.min(DELIVERIES.c.next_attempt_at), func.max(DELIVERIES.c.next_attempt_at)
A, B = "https://a.example:443", "https://b.example:443"
TAGS = (ORDERS.c.state, ORDERS.c.select_tag)
SCANS = {
    "lanes": skip_scan(STATE_AND_LANE).where(DELIVERIES.c.state == DeliveryState.PENDING),
    "first of each lane": skip_scan(STATE_AND_LANE, TIMES[0]).where(
        DELIVERIES.c.state == DeliveryState.PENDING
    ),
    "first and last of several states": skip_scan(STATE_AND_LANE, *TIMES).where(
        DELIVERIES.c.state.in_([DeliveryState.PENDING, DeliveryState.DEAD])
    ),
    "tags": skip_scan(TAGS).where(ORDERS.c.state == OrderState.PENDING),
    "tags of a caller": skip_scan((ORDERS.c.caller_id, *TAGS)).where(
        ORDERS.c.caller_id == 1, ORDERS.c.state == OrderState.PENDING
    ),
}


def test_each_lane_is_found_once_with_its_first_and_last(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for seconds in (3, 1, 2):
        make_delivery(kernel, origin=A, next_attempt_at=now + timedelta(seconds=seconds))
    make_delivery(kernel, origin=B, next_attempt_at=now)
    make_delivery(kernel, origin=B, state="held")
    scan = skip_scan(STATE_AND_LANE, *TIMES).where(DELIVERIES.c.state == DeliveryState.PENDING)
    with kernel.read_session() as session:
        found = [tuple(row)[2:] for row in session.execute(scan)]
    first, last = now + timedelta(seconds=1), now + timedelta(seconds=3)
    assert sorted(found) == [(1, A, first, last), (1, B, now, now)]


def test_mariadb_jumps_from_value_to_value_for_every_scan(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    order_id = make_order(kernel)
    for _ in range(400):
        make_delivery(kernel, order_id)
        make_order(kernel)
    lane = STATE_AND_LANE[1:]
    pending = DELIVERIES.c.state == DeliveryState.PENDING
    scans = SCANS | {"without the constant": select(*lane).where(pending).group_by(*lane)}
    with kernel.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE TABLE kernel_deliveries, kernel_orders")
        jumps = {name: "index for group-by" in plan(connection, scans[name]) for name in scans}
    assert jumps == dict.fromkeys(SCANS, True) | {"without the constant": False}


def plan(connection: Connection, scan: Select[Any]) -> str:
    """Say how MariaDB would run a statement."""
    text = scan.compile(dialect=mysql.dialect(), compile_kwargs={"literal_binds": True})
    return str(connection.exec_driver_sql(f"EXPLAIN {text}").one().Extra)
