"""Statements that are compiled once: as SQLAlchemy would run them, values, events and errors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import bindparam, event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError

from kernel.db.guard import GUARD, Guard
from kernel.db.ids import new_id
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState, Priority
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.db.tables.orders import FENCE, ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order, order
from tests.support.rivals import kill

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
GIVEN = ("id", "caller_id", "select_tag", "args", "callback_url", "fingerprint")
INSERT = Prepared(insert(ORDERS), (*GIVEN, "created_at", "run_after"))
# What the texts of drivers, of SQL and of JSON might take for something else.
ODD = (
    "",
    "null",
    "\\N",
    '{"a":"\\u0000 \\"%s\\" \'"}',
    "%(id)s :id ? %",
    "桥 \U0001f309 \u2028\n\t\x7f",
)
END = Prepared(ORDERS.update().where(FENCE).values(state=OrderState.FAILED, finished_at=NOW))
ATTEMPT = Prepared(
    insert(ATTEMPTS), ("delivery_id", "number", "started_at", "duration_ms", "phases")
)
LOOK = Prepared(
    select(ORDERS.c.id, ORDERS.c.run_after, ORDERS.c.finished_at).where(
        ORDERS.c.id.in_([bindparam("first"), bindparam("second")])
    )
)


def row(**values: Any) -> dict[str, Any]:
    order_id = new_id(NOW)
    given = {"id": order_id, "caller_id": 1, "select_tag": "t", "args": '{"a":"桥 %s"}'}
    given |= {"callback_url": "https://r.example/", "fingerprint": "f"}
    return given | {"created_at": NOW, "run_after": NOW} | values


def fence(order_id: str, run: int = 0) -> dict[str, Any]:
    held = {"held_id": order_id, "held_state": OrderState.PENDING}
    return held | {"held_run": run, "held_checkpoint": 0}


def stored(kernel: Kernel, **values: Any) -> str:
    given = row(**values)
    with kernel.write() as connection:
        assert INSERT.execute(connection, given) == 1
    return str(given["id"])


def test_row_has_what_was_given_and_the_defaults_when_it_is_inserted(kernel: Kernel) -> None:
    found = order(kernel, stored(kernel))
    assert (found.args, found.created_at) == ('{"a":"桥 %s"}', NOW)
    assert (found.state, found.run, found.message) == ("pending", 0, None)


def test_time_is_stored_in_utc_when_it_is_given_in_another_zone(kernel: Kernel) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=8)))
    assert order(kernel, stored(kernel, run_after=there)).run_after == NOW


def test_nothing_is_said_when_a_time_has_no_zone(kernel: Kernel) -> None:
    with pytest.raises(ValueError, match="naive"):
        stored(kernel, run_after=NOW.replace(tzinfo=None))


def test_statement_tells_how_many_rows_it_matched(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    with kernel.write() as connection:
        assert END.execute(connection, fence(order_id, run=7)) == 0
        assert END.execute(connection, fence(order_id)) == 1
    assert (order(kernel, order_id).state, order(kernel, order_id).finished_at) == ("failed", NOW)


def test_every_row_is_inserted_when_there_are_many(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    given = {"delivery_id": delivery_id, "started_at": NOW, "duration_ms": 1, "phases": "{}"}
    with kernel.write() as connection:
        assert ATTEMPT.execute_many(connection, [given | {"number": n} for n in range(3)]) == 3
    with kernel.read() as connection:
        numbers = connection.execute(select(ATTEMPTS.c.number)).scalars().all()
    assert sorted(numbers) == [0, 1, 2]


def test_rows_of_one_statement_are_stored_as_they_were_given(kernel: Kernel) -> None:
    more = ("reference", "is_original", "not_before", "progress_current", "priority")
    into = Prepared(insert(ORDERS), (*GIVEN, "created_at", "run_after", *more))
    there = NOW.astimezone(timezone(timedelta(hours=8)))
    given = [row(args=odd, reference=odd) for odd in ODD]
    for one in given:
        one |= {"is_original": True, "not_before": there, "progress_current": -(2**62)}
        one |= {"priority": Priority.HIGH}
    given.append(row() | dict.fromkeys(more) | {"priority": Priority.NORMAL})
    with kernel.write() as connection:
        assert into.insert_rows(connection, given) == len(given)
        keeping = kernel.dialect.keeping.format(column="id")
        again = [one | {"args": "other"} for one in given]
        into.insert_rows(connection, again, keeping)
    for one in given:
        found = order(kernel, one["id"])
        assert {name: getattr(found, name) for name in one} == one
        assert (found.state, found.run, found.message) == ("pending", 0, None)


def test_rows_are_read_with_times_in_utc_when_a_select_is_run(kernel: Kernel) -> None:
    order_id = stored(kernel)
    with kernel.write() as connection:
        found = LOOK.rows(connection, {"first": order_id, "second": new_id(NOW)})
    assert found == [[order_id, NOW, None]]


def test_nothing_stays_when_the_transaction_is_rolled_back(kernel: Kernel) -> None:
    with kernel.engine.connect() as connection:
        INSERT.execute(connection, given := row())
    with kernel.read() as connection:
        assert not connection.execute(select(ORDERS).where(ORDERS.c.id == given["id"])).all()


def test_events_hear_the_statement_with_its_values(kernel: Kernel) -> None:
    said: list[tuple[str, Any]] = []
    for when in ("before_cursor_execute", "after_cursor_execute"):
        event.listen(kernel.engine, when, lambda *call: said.append((call[2], call[3])))
    order_id = stored(kernel)
    before, after = (one for one in said if one[0].startswith("INSERT INTO kernel_orders"))
    assert before == after
    assert order_id in (before[1].values() if isinstance(before[1], dict) else before[1])


def test_error_is_sqlalchemys_and_the_connection_goes_on_when_a_key_stands_twice(
    kernel: Kernel,
) -> None:
    order_id = stored(kernel)
    with kernel.engine.connect() as connection:
        with pytest.raises(IntegrityError) as caught, connection.begin_nested():
            INSERT.execute(connection, row(id=order_id))
        assert not caught.value.connection_invalidated
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert "r.example" not in str(caught.value)  # values are nobody's business


def test_run_is_broken_and_the_connection_dropped_when_the_server_has_closed_it(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    with kernel.run_connection() as connection:
        connection.begin()
        connection.info[GUARD] = guard = Guard()
        kill(kernel, connection)
        with pytest.raises(DBAPIError) as caught:
            END.execute(connection, fence(new_id(NOW)))
        assert caught.value.connection_invalidated
        assert connection.invalidated
    assert guard.broken is caught.value.orig


def test_statement_is_refused_when_the_transaction_is_gone(kernel: Kernel) -> None:
    with kernel.run_connection() as connection:
        connection.begin()
        connection.invalidate()
        with pytest.raises(InvalidRequestError):
            END.execute(connection, fence(new_id(NOW)))
