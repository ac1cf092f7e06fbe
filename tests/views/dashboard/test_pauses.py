"""The page of pauses, and the buttons of other pages that pause and resume."""

from collections.abc import Callable

import pytest

from kernel.db.tables.operating.pauses import PAUSES
from kernel.pauses.changes import pause
from kernel.pauses.listing import list_pauses
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.clients import FakeHints
from tests.support.factories import make_delivery, make_order, order
from tests.support.paused import handlers, slot_kept
from tests.support.people.dashboard import operator, said, words
from tests.support.ticketing import make_receiver

PATH = "/dashboard/pauses"


def test_page_says_when_nothing_is_paused(kernel: Kernel) -> None:
    assert "Nothing is paused." in words(operator(kernel).get(PATH))


def test_orders_are_paused_by_the_form_and_resumed_by_the_button(kernel: Kernel) -> None:
    visitor, waiting = operator(kernel), make_order(kernel)
    form = {"what": "tag", "of": " create_project ", "for": "2h", "reason": "CHG-4711"}
    answer = visitor.post(f"{PATH}?back=pauses", **form)
    assert said(answer) == "done_paused"
    page = visitor.get(answer.location)
    shown = words(page)
    for part in ("orders of the tag create_project", "CHG-4711", "Paused: what is owed or due"):
        assert part in shown, part
    with kernel.read_session() as session:
        (found,) = list_pauses(session)
    assert found.until is not None
    assert order(kernel, waiting).state == "waiting"
    assert "/dashboard/pauses/resume?what=tag&amp;of=create_project&amp;back=pauses" in page.text
    answer = visitor.post(f"{PATH}/resume?what=tag&of=create_project&back=pauses")
    assert (answer.location.endswith(PATH), said(answer)) == (True, "done_resumed")
    assert order(kernel, waiting).state == "pending"


def test_hostile_reason_is_text(kernel: Kernel) -> None:
    hostile = "<script>alert(1)</script>"
    row = {"tag": "create_project", "created_at": kernel.clock.now(), "why": hostile}
    with kernel.write_session() as session:
        session.execute(PAUSES.insert().values(**row, by_whom=hostile))
    visitor = operator(kernel)
    for path in (PATH, "/dashboard/"):
        page = visitor.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("form", "status", "why"),
    [
        ({"what": "tag", "of": "No Tag"}, 422, "/tag: 'No Tag' is no tag of orders"),
        ({"what": "planet", "of": "x"}, 422, "what is paused is a host, caller, receiver, tag"),
        ({"what": "tag", "of": "create_project", "for": "soon"}, 422, "'soon' is no duration"),
        ({"what": "host", "of": "desk/path"}, 422, "'desk/path' is no host: it has a path"),
        ({"what": "orders_of", "of": "anonymos"}, 404, "did you mean anonymous?"),
        ({"what": "receiver", "of": "anonymous/none"}, 404, "none"),
        ({}, 422, "what is paused is a host, caller, receiver, tag"),
    ],
)
def test_form_says_what_is_wrong_and_keeps_what_was_typed(
    kernel: Kernel, form: dict[str, str], status: int, why: str
) -> None:
    answer = operator(kernel).post(PATH, **form)
    assert (answer.status_code, why in words(answer)) == (status, True), words(answer)
    assert f'name="of" value="{form.get("of", "")}"' in answer.text
    with kernel.read_session() as session:
        assert list_pauses(session) == []


def test_receivers_page_has_a_button_and_says_that_it_is_paused(kernel: Kernel) -> None:
    made = make_receiver(kernel, "desk", "https://desk.example/")
    make_delivery(kernel, origin="https://desk.example:443", url="receiver:desk")
    visitor, page = operator(kernel), "/dashboard/receivers/anonymous/desk"
    button = "/dashboard/pauses?what=receiver&amp;of=anonymous/desk&amp;back=receivers"
    assert button in visitor.get(page).text
    visitor.post("/dashboard/pauses?what=receiver&of=anonymous/desk&back=receivers")
    with kernel.read_session() as session:
        (found,) = list_pauses(session)
    assert found.receiver_id == made
    assert "Receiver desk paused" in words(visitor.get(page))
    assert "desk paused" in words(visitor.get("/dashboard/receivers"))


def test_callers_page_pauses_its_orders(kernel: Kernel) -> None:
    visitor = operator(kernel)
    page = visitor.get("/dashboard/callers").text
    assert "/dashboard/pauses?what=orders_of&amp;of=anonymous&amp;back=callers" in page
    pause(kernel, Subject(orders_of=1))
    assert "anonymous orders paused" in words(visitor.get("/dashboard/callers"))


def test_pause_that_another_has_ended_is_told(kernel: Kernel) -> None:
    answer = operator(kernel).post(f"{PATH}/resume?what=tag&of=create_project")
    assert said(answer) == "done_not_paused"


def test_orders_that_go_on_are_hinted(kernel: Kernel) -> None:
    waiting, hints = make_order(kernel), FakeHints()
    pause(kernel, Subject(tag="create_project"))
    operator(kernel, hints).post(f"{PATH}/resume?what=tag&of=create_project")
    assert waiting in hints.hinted


def test_orders_that_go_on_with_slots_of_paused_ones_are_hinted(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel, hints = make_kernel(database_url, handlers), FakeHints()
    _, theirs = slot_kept(kernel)
    operator(kernel, hints).post(f"{PATH}?back=pauses", what="orders_of", of="anonymous")
    assert hints.hinted == [theirs]


@pytest.mark.parametrize(
    ("what", "page", "back"),
    [("tag", "tags/create_project", "tag_page"), ("orders_of", "callers/anonymous", "caller_page")],
)
def test_page_of_a_tag_or_caller_pauses_its_orders(
    kernel: Kernel, what: str, page: str, back: str
) -> None:
    make_order(kernel)
    visitor, name = operator(kernel), page.partition("/")[2]
    button = f"/dashboard/pauses?what={what}&amp;of={name}&amp;back={back}"
    assert button in visitor.get(f"/dashboard/{page}").text
    answer = visitor.post(f"{PATH}?what={what}&of={name}&back={back}")
    assert answer.location.endswith(f"/dashboard/{page}")
    assert f"{name} orders paused" in words(visitor.get(answer.location))
