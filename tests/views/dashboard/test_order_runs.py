"""The runs of an order on its page, and what of them only operators read."""

from typing import Any

from sqlalchemy import insert

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.db.tables.operating.runs import RUNS
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order
from tests.support.people.dashboard import HOSTILE, operator, stranger, words


def failed(kernel: Kernel) -> str:
    """An order whose first run lost its worker, and whose second raised an error."""
    now = kernel.clock.now()
    order_id = make_order(
        *(kernel,),
        **{"state": "failed", "error_code": "internal_error", "run": 2, "reference": "INC7"},
        **{"runner": "a process"},
        **{"created_at": now, "run_after": now, "started_at": now, "finished_at": now},
    )
    ran: dict[str, Any] = {"order_id": order_id, "began_at": now, "ended_at": now}
    ran |= {"host": "db-worker-3", "pid": 4711, "is_counted": True}
    bug = {"error_type": "OSError", "place": "handlers.make", "message": HOSTILE}
    with kernel.write() as connection:
        connection.execute(insert(RUNS).values(ran | {"run": 1, "how": "died"}))
        more = {"run": 2, "how": "bug", "error_code": "internal_error", "traceback": "line 12"}
        connection.execute(insert(RUNS).values(ran | more | bug))
    return order_id


def test_operator_reads_where_a_run_ran_how_it_ended_and_its_traceback(kernel: Kernel) -> None:
    page = operator(kernel).get(f"/dashboard/orders/{failed(kernel)}")
    said = words(page)
    for part in ("Runs", "db-worker-3:4711", "worker died", "error in the handler"):
        assert part in said
    for part in ("OSError", "handlers.make", "line 12"):
        assert part in said
    assert HOSTILE not in page.text


def test_viewer_reads_how_runs_ended_and_no_error(kernel: Kernel) -> None:
    visitor = stranger(kernel)
    with kernel.write_session() as session:
        key = people.add_person(session, "vera", Role.VIEWER, kernel.clock.now())
    visitor.sign_in(key.get_secret_value())
    said = words(visitor.get(f"/dashboard/orders/{failed(kernel)}"))
    assert "error in the handler" in said
    assert "OSError" not in said
    assert "line 12" not in said


def test_waiting_and_work_are_told_apart_and_the_reference_is_the_heading(kernel: Kernel) -> None:
    page = operator(kernel).get(f"/dashboard/orders/{failed(kernel)}")
    said = words(page)
    assert "Queue time" in said
    assert "Run time" in said
    assert "<h1><bdi>INC7</bdi>" in page.text


def test_run_that_succeeds_is_shown_from_the_orders_row(kernel: Kernel) -> None:
    now = kernel.clock.now()
    order_id = make_order(kernel, state="success", run=1, started_at=now, finished_at=now)
    visitor = operator(kernel)
    assert 'id="run-1"' in visitor.get(f"/dashboard/orders/{order_id}").text
    assert 'id="run-1"' not in visitor.get(f"/dashboard/orders/{make_order(kernel)}").text
