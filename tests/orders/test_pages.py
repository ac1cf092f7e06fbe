"""Pages of orders: every filter, on both databases, against the same filter in Python."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import insert

from kernel.db.ids import first_id, new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.orders.pages import MAX_PAGE, LaneFilter, list_orders
from kernel.runtime.kernel import Kernel
from tests.support.factories import CALLBACK

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATES = ("pending", "running", "success", "success", "success", "failed")
TAGS = ("create_project", "create_project", "import_projects")


@pytest.fixture
def everything(kernel: Kernel) -> list[dict[str, object]]:
    """Sixty orders of two callers, an hour from one to the next."""
    with kernel.write_session() as session:
        session.add(Caller(id=2, name="second", created_at=START))
    rows = [
        {
            "id": new_id(START + number * HOUR),
            "caller_id": 1 + number % 2,
            "select_tag": TAGS[number % len(TAGS)],
            "state": STATES[number % 7 % len(STATES)],
            "args": "{}",
            "callback_url": CALLBACK,
            "fingerprint": "0",
            "created_at": START + number * HOUR,
            "run_after": START,
        }
        for number in range(60)
    ]
    with kernel.write_session() as session:
        session.execute(insert(ORDERS), rows)
    return rows[::-1]


def fulfils(row: dict[str, object], caller_id: int | None, wanted: LaneFilter) -> bool:
    """The filter once more, in Python."""
    created_at, id = row["created_at"], str(row["id"])
    assert isinstance(created_at, datetime)
    return (
        caller_id in (None, row["caller_id"])
        and wanted.state in (None, row["state"])
        and wanted.select_tag in (None, row["select_tag"])
        and (wanted.since is None or created_at >= wanted.since)
        and (wanted.until is None or created_at < wanted.until)
        and (wanted.before is None or id < wanted.before)
    )


def listed(kernel: Kernel, caller_id: int | None, wanted: LaneFilter) -> list[str]:
    with kernel.read_session() as session:
        orders = list_orders(session, caller_id, wanted)
        return [order.id for order in orders]


def test_page_has_the_newest_that_fulfil_its_filter(
    kernel: Kernel, everything: list[dict[str, object]]
) -> None:
    cursor = str(everything[20]["id"])
    for caller_id, state, tag, since, until, before, limit in product(
        (None, 2),
        (None, "success", "failed", "cancelled"),
        (None, "create_project", "unheard_of"),
        (None, START + 10 * HOUR),
        (None, START + 50 * HOUR),
        (None, cursor),
        (3, 50),
    ):
        wanted = LaneFilter(state, tag, since, until, before, limit)
        expected = [str(row["id"]) for row in everything if fulfils(row, caller_id, wanted)]
        assert listed(kernel, caller_id, wanted) == expected[:limit], (caller_id, wanted)


def test_pages_follow_each_other_without_gap_when_read_to_the_end(
    kernel: Kernel, everything: list[dict[str, object]]
) -> None:
    seen: list[str] = []
    wanted = LaneFilter(state="success", limit=4)
    while page := listed(
        kernel, 1, LaneFilter("success", before=seen[-1] if seen else None, limit=4)
    ):
        seen += page
    assert seen == [str(row["id"]) for row in everything if fulfils(row, 1, wanted)]


def test_page_is_no_longer_than_allowed_when_more_is_asked_for(
    kernel: Kernel, everything: list[dict[str, object]]
) -> None:
    with kernel.read_session() as session:
        assert len(list_orders(session, None, LaneFilter(limit=MAX_PAGE), most=7)) == 7


@pytest.mark.parametrize("micros", [0, 1, 499, 999, 123_456, 999_999])
def test_ids_begin_at_their_moment_to_the_microsecond(micros: int) -> None:
    moment = START + timedelta(microseconds=micros)
    step = timedelta(microseconds=2)  # a moment as a float is right to half of one
    assert new_id(moment - step) < first_id(moment) <= new_id(moment) < first_id(moment + step)


def test_lowest_id_is_that_of_1970_when_a_moment_is_before_it() -> None:
    assert first_id(datetime(1, 1, 2, tzinfo=UTC)) == "00000000-0000-7000-8000-000000000000"
