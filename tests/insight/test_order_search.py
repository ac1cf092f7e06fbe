"""Finding orders: each filter, pages both ways, and how little is looked at."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from kernel.callers import identity, keys
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget, Cursor
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import KEY_INDEX, REFERENCE_INDEX, WAITING_INDEX
from kernel.formats.hosts import read_host
from kernel.insight.search.orders import BUDGET, Found, find
from kernel.insight.state_counts import count_states
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order


def make_orders(kernel: Kernel, number: int, **values: Any) -> list[str]:
    """Make orders, a second between each; return their ids, the newest first."""
    now = kernel.clock.now() - timedelta(hours=1)
    moments = [now + timedelta(seconds=second) for second in range(number)]
    made = [make_order(kernel, id=new_id(at), created_at=at, **values) for at in moments]
    return made[::-1]


def found(
    kernel: Kernel,
    cursor: Cursor | None = None,
    limit: int = 10,
    budget: Budget = BUDGET,
    **wanted: Any,
) -> Found:
    with kernel.read() as connection:
        return find(connection, OrderFilter(**wanted), cursor, limit, budget)


def make_children(kernel: Kernel, number: int) -> tuple[str, list[str]]:
    """Make an order and as many children; return its id and theirs, the newest first."""
    parent, children = make_order(kernel), make_orders(kernel, number)
    with kernel.write() as connection:
        rows = [{"order_id": one, "caller_id": 1, "parent_id": parent} for one in children]
        connection.execute(insert(GATES), rows)
    return parent, children


def ids(result: Found) -> list[str]:
    return [one.id for one in result.orders]


def caller(kernel: Kernel, name: str) -> int:
    with kernel.write_session() as session:
        keys.add(session, name, kernel.clock.now())
        return identity.find(session, name).id


# Twelve orders at the most, in two windows, however quick this machine is.
TWELVE = Budget(first=4, largest=8, seconds=1000.0, rows=12)


def test_orders_are_found_by_each_of_their_marks(kernel: Kernel) -> None:
    jira = caller(kernel, "jira")
    make_orders(kernel, 3)
    mine = make_order(
        kernel,
        state="failed",
        caller_id=jira,
        select_tag="import_projects",
        callback_url="https://receiver.net:8443/a?b",
        idempotency_key="zammad-4711",
        args=json.dumps({"projname": 'Große "Brücke" 桥'}, ensure_ascii=False),
    )
    delivery = make_delivery(kernel, mine)
    marks: list[dict[str, Any]] = [
        {"state": OrderState.FAILED},
        {"caller_id": jira},
        {"state": OrderState.FAILED, "caller_id": jira},
        {"select_tag": "import_projects"},
        {"host": "receiver.net"},
        {"host": read_host("https://RECEIVER.net:8443/")},
        {"text": mine},
        {"text": delivery},
        {"text": "zammad-4711"},
        {"text": '"Brücke" 桥'},
        {"text": "projNAME"},
        {"text": "4711", "select_tag": "x"},
    ]
    results = [ids(found(kernel, **one)) for one in marks]
    assert results == [[mine]] * 10 + [ids(found(kernel)), []]


@pytest.mark.parametrize("host", ["receiver", "eceiver.net", "receiver.net.evil", "b", "%", "_"])
def test_orders_are_not_found_when_only_a_part_of_the_host_fits(kernel: Kernel, host: str) -> None:
    make_order(kernel, callback_url="https://receiver.net/a?u=https://b/")
    assert ids(found(kernel, host=host)) == []


@pytest.mark.parametrize("word", ["%", "_", "' OR 1=1 --", "\\", "\u202e", "😁", "x" * 200])
def test_nothing_is_found_when_the_text_is_hostile(kernel: Kernel, word: str) -> None:
    make_order(kernel, args='{"projname":"😀"}')
    assert ids(found(kernel, text=word)) == []


def test_orders_are_found_by_time_to_the_millisecond(kernel: Kernel) -> None:
    newest = make_orders(kernel, 5)
    with kernel.read() as connection:
        times = [row.created_at for row in find(connection, OrderFilter()).orders]
    assert ids(found(kernel, since=times[3], until=times[0])) == newest[1:4]


def test_order_is_found_by_its_key_when_another_filter_excludes_it(kernel: Kernel) -> None:
    order_id = make_order(kernel, idempotency_key="key")
    assert ids(found(kernel, text="key", state=OrderState.PENDING)) == [order_id]
    assert ids(found(kernel, text="key", state=OrderState.FAILED)) == []
    assert ids(found(kernel, text=order_id, select_tag="other")) == []


WANTED: list[dict[str, Any]] = [{}, {"select_tag": "create_project"}, {"state": OrderState.PENDING}]


@pytest.mark.parametrize("wanted", WANTED)
def test_every_order_is_on_one_page_when_going_back_and_forth(
    kernel: Kernel, wanted: dict[str, Any]
) -> None:
    newest = make_orders(kernel, 7)
    first = found(kernel, limit=3, **wanted)
    second = found(kernel, first.older, 3, **wanted)
    third = found(kernel, second.older, 3, **wanted)
    assert [ids(one) for one in (first, second, third)] == [newest[:3], newest[3:6], newest[6:]]
    assert (first.newer, third.older) == (None, None)
    back = found(kernel, third.newer, 3, **wanted)
    start = found(kernel, back.newer, 3, **wanted)
    assert [ids(back), ids(start)] == [newest[3:6], newest[:3]]
    assert (back.older, start.newer) == (Cursor((newest[5],)), None)


@pytest.mark.parametrize("more", [{}, {"state": OrderState.PENDING}])
def test_children_are_paged_back_and_forth(kernel: Kernel, more: dict[str, Any]) -> None:
    parent, newest = make_children(kernel, 7)
    make_orders(kernel, 2)
    wanted = {"batch": parent, **more}
    first = found(kernel, limit=3, **wanted)
    second = found(kernel, first.older, 3, **wanted)
    third = found(kernel, second.older, 3, **wanted)
    assert [ids(one) for one in (first, second, third)] == [newest[:3], newest[3:6], newest[6:]]
    assert (first.newer, third.older, third.looked_at) == (None, None, None)
    assert ids(found(kernel, third.newer, 3, **wanted)) == newest[3:6]


def test_children_are_found_by_further_filters(kernel: Kernel) -> None:
    parent, newest = make_children(kernel, 3)
    other = make_order(kernel, state="failed")
    with kernel.read() as connection:
        times = [row.created_at for row in find(connection, OrderFilter(batch=parent)).orders]
    for wanted, expected in [
        ({"text": newest[1]}, newest[1:2]),
        ({"text": other}, []),
        ({"text": "bridge"}, newest),
        ({"state": OrderState.FAILED}, []),
        ({"since": times[1]}, newest[:2]),
        ({"caller_id": 1, "until": times[0]}, newest[1:]),
    ]:
        assert ids(found(kernel, batch=parent, **wanted)) == expected, wanted
    assert ids(found(kernel, batch=other)) == []


def test_page_stays_as_it_is_when_orders_come_in(kernel: Kernel) -> None:
    make_orders(kernel, 6)
    cursor = found(kernel, limit=3).older
    before = ids(found(kernel, cursor, 3))
    make_order(kernel)
    assert ids(found(kernel, cursor, 3)) == before


def test_page_is_empty_when_there_is_nothing(kernel: Kernel) -> None:
    assert found(kernel) == Found([])
    assert found(kernel, select_tag="x") == Found([])


def test_search_stops_and_goes_on_where_it_stopped_when_little_fits(kernel: Kernel) -> None:
    old = make_orders(kernel, 1, select_tag="rare")
    newest = make_orders(kernel, 20)
    first = found(kernel, budget=TWELVE, select_tag="rare")
    assert (ids(first), first.looked_at, first.older) == ([], 12, Cursor((newest[11],)))
    second = found(kernel, first.older, budget=TWELVE, select_tag="rare")
    assert (ids(second), second.looked_at, second.older) == (old, None, None)


def test_search_takes_what_fits_when_it_stops(kernel: Kernel) -> None:
    newest = make_orders(kernel, 20)
    with kernel.write_session() as session:
        session.execute(
            text("UPDATE kernel_orders SET select_tag = 'rare' WHERE id IN (:a, :b, :c)"),
            dict(zip("abc", (newest[1], newest[5], newest[15]), strict=True)),
        )
    first = found(kernel, budget=TWELVE, select_tag="rare")
    assert (ids(first), first.looked_at) == ([newest[1], newest[5]], 12)
    second = found(kernel, first.older, budget=TWELVE, select_tag="rare")
    assert (ids(second), second.looked_at) == ([newest[15]], None)
    back = found(kernel, Cursor((newest[13],), up=True), budget=TWELVE, select_tag="rare")
    assert ids(back) == [newest[1], newest[5]]


def test_search_stops_early_when_the_page_is_full(kernel: Kernel) -> None:
    newest = make_orders(kernel, 20)
    first = found(kernel, limit=2, budget=TWELVE, select_tag="create_project")
    assert (ids(first), first.looked_at, first.older) == (newest[:2], None, Cursor((newest[1],)))


def test_search_ends_after_its_time_when_rows_are_slow(kernel: Kernel) -> None:
    make_orders(kernel, 5)
    budget = Budget(first=2, largest=2, seconds=-1.0)
    assert found(kernel, budget=budget, select_tag="rare").looked_at == 2


def test_states_are_counted_up_to_a_limit(kernel: Kernel) -> None:
    make_orders(kernel, 3, state="success")
    make_orders(kernel, 2, state="failed")
    with kernel.read() as connection:
        counts = count_states(connection)
    assert {state: n for state, n in counts.items() if n} == {"success": 3, "failed": 2}
    assert set(counts) == set(OrderState)


def statements(kernel: Kernel) -> list[str]:
    """Every statement from now on, as the driver gets it."""
    said: list[str] = []

    def say(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        named = isinstance(parameters, dict) and parameters
        said.append(statement % _quoted(parameters) if named else statement)

    event.listen(kernel.engines.single, "before_cursor_execute", say)
    return said


def _quoted(parameters: dict[str, Any]) -> dict[str, str]:
    return {name: _literal(value) for name, value in parameters.items()}


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_literal, value))})"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


NARROW: Iterable[dict[str, Any]] = [
    *({}, {"state": OrderState.FAILED}, {"caller_id": 2}, {"select_tag": "rare"}),
    *({"state": OrderState.SUCCESS, "caller_id": 2}, {"text": "word"}),
    *({"reference": "R", "caller_id": 2}, {"host": "x.net", "state": OrderState.FAILED}),
    *({"error": "timed_out"}, {"error": "x", "select_tag": "rare", "caller_id": 2}),
    *({"callback": "dead", "state": "failed"}, {"receiver": "tickets", "caller_id": 2}),
    *({"ordering_key": "k", "caller_id": 2}, {"waiting": "x", "caller_id": 2}),
    *({"reference_prefix": "INC"}, {"ended_since": datetime(2026, 1, 1, tzinfo=UTC)}),
]


@pytest.fixture
def mariadb_kernel(make_kernel: Any, mariadb_rows_url: str) -> Kernel:
    kernel: Kernel = make_kernel(mariadb_rows_url)
    return kernel


@pytest.mark.parametrize("wanted", NARROW)
@pytest.mark.parametrize("edge", ["before", "after", None])
def test_every_statement_goes_along_an_index_when_explained(
    mariadb_kernel: Kernel, wanted: dict[str, Any], edge: str | None
) -> None:
    kernel = mariadb_kernel
    for state in ("success", "failed", "pending"):
        made = make_orders(kernel, 30, state=state)
    cursor = None if edge is None else Cursor((made[10],), up=edge == "after")
    said = statements(kernel)
    found(kernel, cursor, 2, **wanted)
    assert said
    for statement in list(said):
        with kernel.read() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement.replace('%', '%%')}").all()
        ours = [row for row in plan if row.table == "kernel_orders"]
        used = [(row.table, row.type, row.Extra or "") for row in ours]
        assert all(kind != "ALL" for _, kind, _ in used), (statement, plan)
        assert not any("filesort" in extra for *_, extra in used), (statement, plan)


def test_forced_indexes_are_there(mariadb_kernel: Kernel) -> None:
    said = statements(mariadb_kernel)
    for wanted in NARROW:
        found(mariadb_kernel, **wanted)
    forced = {name for one in said for name in re.findall(r"FORCE INDEX \((\w+)\)", one)}
    names = ("state", "caller_id", "caller_id_state_select_tag")
    of_orders = {f"ix_kernel_orders_{name}_id" for name in names}
    beside = {REFERENCE_INDEX, KEY_INDEX, WAITING_INDEX}
    assert forced == {"PRIMARY"} | of_orders | beside
