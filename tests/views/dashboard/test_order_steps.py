"""Steps on the page of an order, and the button that runs it again from one of them."""

import json
from collections.abc import Callable

import pytest

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.db.tables.steps import STEPS
from kernel.runtime.kernel import Kernel
from tests.support.clients import FakeHints
from tests.support.factories import make_order, make_step, order, rows
from tests.support.people.dashboard import HOSTILE, Visitor, operator, said, stranger, words

SEEN = HOSTILE.replace("\u202e", "\\u202e")
MakeKernel = Callable[..., Kernel]


@pytest.fixture
def hints() -> FakeHints:
    return FakeHints()


@pytest.fixture
def visitor(kernel: Kernel, hints: FakeHints) -> Visitor:
    return operator(kernel, hints)


def stepped(kernel: Kernel, state: str = "failed") -> str:
    ended = {"finished_at": kernel.clock.now()} if state == "failed" else {}
    args = json.dumps({"projname": "桥"})
    order_id = make_order(kernel, state=state, args=args, reference="INC1", **ended)
    make_step(kernel, order_id, 1, "vm", result=json.dumps({"id": HOSTILE}))
    failed = {"done_at": None, "result": None, "attempts": 4, "duration_ms": 250}
    make_step(kernel, order_id, 2, "<b>dns</b>", error=f"OSError: {HOSTILE}", **failed)
    make_step(kernel, order_id, 3, "password", result=None)
    return order_id


def test_page_shows_steps_escaped(kernel: Kernel, visitor: Visitor) -> None:
    page = visitor.get(f"/dashboard/orders/{stepped(kernel)}")
    said = words(page)
    for part in ("Steps", "vm done 1", "<b>dns</b> failed 4", "password done 1", "••• (hidden)"):
        assert part in said
    assert f"OSError: {SEEN}" in said
    assert "<b>dns</b>" not in page.text
    assert HOSTILE not in page.text


def test_viewer_reads_how_steps_ended_and_no_error(kernel: Kernel) -> None:
    visitor, order_id = stranger(kernel), stepped(kernel)
    with kernel.write_session() as session:
        key = people.add_person(session, "vera", Role.VIEWER, kernel.clock.now())
    visitor.sign_in(key.get_secret_value())
    page = words(visitor.get(f"/dashboard/orders/{order_id}"))
    assert "<b>dns</b> failed 4" in page
    assert "OSError" not in page
    kept = visitor.get(f"/dashboard/orders/{order_id}/json").text
    assert [one["error"] for one in json.loads(kept)["steps"]] == [None, None, None]
    assert "OSError" not in kept


def test_long_result_is_cut(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    make_step(kernel, order_id, 1, "vm", result=json.dumps("x" * 5000))
    page = visitor.get(f"/dashboard/orders/{order_id}").text
    assert "x" * 499 in page
    assert "x" * 501 not in page


def test_order_without_steps_has_no_such_part(kernel: Kernel, visitor: Visitor) -> None:
    said = words(visitor.get(f"/dashboard/orders/{make_order(kernel)}"))
    assert "Timeline" in said
    assert "Steps" not in said


def test_new_order_begins_with_the_step_when_the_old_one_has_ended(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    first = stepped(kernel)
    answer = visitor.post(f"/dashboard/orders/{first}/steps/2/again")
    assert answer.status_code == 303
    (new,) = {one.order_id for one in rows(kernel, STEPS)} - {first}
    assert new in answer.headers["Location"]
    assert hints.hinted == [new]
    assert [one.name for one in rows(kernel, STEPS) if one.order_id == new] == ["vm"]
    found = order(kernel, new)
    assert (found.state, found.reference, json.loads(found.args)) == (
        "pending",
        "INC1",
        {"projname": "桥"},
    )
    assert f"Runs again {first}" in words(visitor.get(f"/dashboard/orders/{new}"))


@pytest.mark.parametrize("act", ["again", "steps/2/again"])
def test_new_order_keeps_the_priority_and_the_callbacks_kind_of_the_old_one(
    kernel: Kernel, visitor: Visitor, hints: FakeHints, act: str
) -> None:
    kept = {"priority": -1, "is_original": True, "args": json.dumps({"projname": "x"})}
    first = make_order(kernel, state="failed", finished_at=kernel.clock.now(), **kept)
    make_step(kernel, first, 1, "vm", result='"vm-1"')
    make_step(kernel, first, 2, "dns", done_at=None, result=None, error="OSError")
    assert visitor.post(f"/dashboard/orders/{first}/{act}").status_code == 303
    made = order(kernel, hints.hinted[0])
    assert (made.priority, made.is_original) == (-1, True)


def test_live_order_is_due_again_from_the_step_on(
    kernel: Kernel, visitor: Visitor, hints: FakeHints
) -> None:
    order_id = stepped(kernel, "pending")
    answer = visitor.post(f"/dashboard/orders/{order_id}/steps/2/again")
    assert said(answer) == "done_run_again"
    assert hints.hinted == [order_id]
    assert [one.attempts for one in rows(kernel, STEPS)] == [1, 0, 0]
    assert "to be done again" in words(visitor.get(f"/dashboard/orders/{order_id}"))


def test_running_order_has_no_button_and_is_refused(kernel: Kernel, visitor: Visitor) -> None:
    order_id = stepped(kernel, "running")
    assert "Run again from here" not in words(visitor.get(f"/dashboard/orders/{order_id}"))
    assert visitor.post(f"/dashboard/orders/{order_id}/steps/2/again").status_code == 409
    assert visitor.post(f"/dashboard/orders/{order_id}/steps/9/again").status_code == 404
