"""The page of recurring orders: what it shows, to whom it gives buttons, and what they do."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.schedules import SCHEDULES
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from tests.support.clients import FakeHints
from tests.support.people.dashboard import HOSTILE, operator, said, stranger, words

PATH = "/dashboard/schedules"
NIGHTLY = Definition("anonymous", "0 2 * * *", "Europe/Berlin", "create_project", {"projname": "x"})


@pytest.fixture
def nightly(kernel: Kernel) -> Kernel:
    """A kernel with a schedule."""
    changes.add(kernel, "nightly", NIGHTLY)
    return kernel


def test_schedules_are_shown_with_their_last_orders(nightly: Kernel) -> None:
    visitor = operator(nightly)
    changes.add(nightly, "other", replace(NIGHTLY, zone="UTC"))
    said = words(visitor.get(PATH))
    for part in ("Recurring orders", "nightly", "anonymous", "0 2 * * *", "Europe/Berlin", " in "):
        assert part in said, part
    order_id = changes.run_now(nightly, "nightly")
    page = visitor.live(PATH)
    assert f"/dashboard/orders/{order_id}" in page.text
    assert "pending" in words(page)
    with nightly.write() as connection:
        connection.execute(ORDERS.delete())
    assert "the order is gone" in words(visitor.get(PATH))


def test_page_says_what_to_do_when_there_are_none(kernel: Kernel) -> None:
    said = words(operator(kernel).get(PATH))
    assert "No recurring orders." in said
    assert "kernel schedules add NAME" in said


def test_last_error_is_shown_and_escaped(nightly: Kernel) -> None:
    with nightly.write() as connection:
        told = {"last_error": f"missing: {HOSTILE}", "failed_at": nightly.clock.sql()}
        connection.execute(update(SCHEDULES).values(told))
    page = operator(nightly).get(PATH)
    assert "<script>alert" not in page.text
    assert "missing: <script>alert(1)</script>" in words(page)


def test_buttons_pause_resume_and_run(nightly: Kernel) -> None:
    hints = FakeHints()
    visitor = operator(nightly, hints)
    assert "It is paused." in words(visitor.get(visitor.post(f"{PATH}/nightly/pause").location))
    assert "paused" in words(visitor.live(PATH))
    answer = visitor.post(f"{PATH}/nightly/resume")
    assert "It goes on with its next time." in words(visitor.get(answer.location))
    answer = visitor.post(f"{PATH}/nightly/run")
    (order_id,) = hints.hinted
    assert answer.location.endswith(f"/dashboard/orders/{order_id}")
    assert said(answer) == "done_submitted"
    assert visitor.post(f"{PATH}/nobody/run").status_code == 404
    assert visitor.post(f"{PATH}/桥/pause").status_code == 404


def test_run_that_would_be_refused_today_says_so(nightly: Kernel) -> None:
    with nightly.write() as connection:
        connection.execute(update(SCHEDULES).values(args='{"projname": 5}'))
    assert operator(nightly).post(f"{PATH}/nightly/run").status_code == 422


def test_viewer_sees_schedules_and_no_buttons(nightly: Kernel) -> None:
    with nightly.write_session() as session:
        key = people.add_person(session, "Ada", Role.VIEWER, nightly.clock.now())
    visitor = stranger(nightly)
    visitor.sign_in(key.get_secret_value())
    page = visitor.get(PATH)
    assert "nightly" in words(page)
    assert "/schedules/nightly/" not in page.text
