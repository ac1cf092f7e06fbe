"""What fields of a filter offer: names that orders have, each found by a jump along an index."""

from typing import Any

import pytest
from sqlalchemy import event, insert

from kernel.db.tables.gates import GATES
from kernel.insight.search.suggestions import FEW, Suggestion, receivers, suggest
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order
from tests.support.ticketing import make_receiver


def offered(kernel: Kernel, field: str, text: str = "") -> list[str]:
    with kernel.read() as connection:
        return [one.value for one in suggest(connection, field, text)]


def with_gate(kernel: Kernel, **values: Any) -> str:
    """Make an order with a row of gates."""
    order_id = make_order(kernel)
    with kernel.write() as connection:
        row = {"order_id": order_id, "caller_id": 1, **values}
        connection.execute(insert(GATES).values(row))
    return order_id


def test_references_are_offered_once_each_from_what_was_typed(kernel: Kernel) -> None:
    for name in ("INC2", "INC1", "INC1", "inc1", "CHG1", "INC1"):
        make_order(kernel, reference=name)
    assert offered(kernel, "reference_prefix", "INC") == ["INC1", "INC2"]
    assert offered(kernel, "reference", "C") == ["CHG1"]
    assert offered(kernel, "reference", "") == []
    assert offered(kernel, "reference", " \x00") == []


def test_a_few_are_offered_however_many_there_are(kernel: Kernel) -> None:
    for number in range(30):
        make_order(kernel, reference=f"INC{number:03}")
    assert offered(kernel, "reference", "I") == [f"INC{number:03}" for number in range(FEW)]


def test_keys_are_offered_of_orders_that_have_them(kernel: Kernel) -> None:
    for key in ("srv-2", "srv-1", "srv-1", "db-1", None):
        with_gate(kernel, ordering_key=key)
    assert offered(kernel, "ordering_key", "srv") == ["srv-1", "srv-2"]


def test_batches_are_offered_newest_first_with_their_names(kernel: Kernel) -> None:
    first, second = make_order(kernel, reference="INC1"), make_order(kernel)
    for parent in (first, first, second):
        with_gate(kernel, parent_id=parent)
    with kernel.read() as connection:
        found = suggest(connection, "batch", "")
    assert found == [Suggestion(second, "create_project"), Suggestion(first, "INC1")]
    assert offered(kernel, "batch", first) == [first]
    assert offered(kernel, "batch", "zz") == []


def test_errors_are_offered_by_how_often_they_were_met(kernel: Kernel) -> None:
    for code in ("timed_out", "ad_gone", "ad_gone"):
        make_order(kernel, state="failed", error_code=code, finished_at=kernel.clock.now())
    assert offered(kernel, "error") == ["ad_gone", "timed_out", "cancelled"]
    assert offered(kernel, "error", "t") == ["timed_out"]


def test_receivers_are_offered_once_each(kernel: Kernel) -> None:
    for name in ("desk", "chat"):
        make_receiver(kernel, name, f"https://{name}.example/hook")
    with kernel.read() as connection:
        assert receivers(connection) == ["chat", "desk"]


@pytest.fixture
def mariadb_kernel(make_kernel: Any, mariadb_rows_url: str) -> Kernel:
    kernel: Kernel = make_kernel(mariadb_rows_url)
    return kernel


@pytest.mark.parametrize(
    ("field", "text"), [("reference", "INC"), ("ordering_key", "srv"), ("batch", "0")]
)
def test_each_name_is_a_jump_along_an_index(mariadb_kernel: Kernel, field: str, text: str) -> None:
    kernel = mariadb_kernel
    for number in range(60):
        order_id = make_order(kernel, reference=f"INC{number}")
        with_gate(kernel, ordering_key=f"srv-{number}", parent_id=order_id)
    said: list[Any] = []
    event.listen(
        kernel.engines.single,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_m: said.append((statement, parameters)),
    )
    assert len(offered(kernel, field, text)) == FEW
    for statement, parameters in list(said):
        with kernel.read() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings().all()
        assert [one["type"] for one in plan if one["type"] not in ("range", "ref")] == [], plan
        assert not any("filesort" in (one["Extra"] or "") for one in plan), plan
