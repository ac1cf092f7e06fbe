"""The page of callbacks: found by filter, sent again one by one, or many once they were counted."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from kernel.db.ids import new_id
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Limits
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.people.dashboard import Visitor, limited, operator, words

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}
ROW = re.compile(r'id="d-([0-9a-f-]{36})"')
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
PATH = "/dashboard/deliveries"


def over(kernel: Kernel, age: float = 1, state: str = "dead", **values: Any) -> str:
    """Make a delivery that ended so many hours ago."""
    then = kernel.clock.now() - age * HOUR
    row = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**row, "next_attempt_at": then, **values})


def rows(visitor: Visitor, **query: str) -> list[str]:
    """The deliveries that are listed."""
    answer = visitor.get(f"{PATH}?{urlencode(query)}")
    assert answer.status_code == 200
    return ROW.findall(answer.text)


def test_deliveries_say_so_when_there_are_none(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert "No callbacks yet." in words(visitor.get(PATH))
    assert "No callback fits." in words(visitor.get(f"{PATH}?state=dead"))


def test_deliveries_are_found_when_fields_narrow_them(kernel: Kernel) -> None:
    old, young = over(kernel, 5), over(kernel, 1, "delivered", **OTHER)
    visitor = operator(kernel)
    then = (kernel.clock.now() - 3 * HOUR).strftime("%Y-%m-%dT%H:%M")
    assert rows(visitor) == [young, old]
    assert rows(visitor, state="dead") == [old]
    assert rows(visitor, host="other.example") == [young]
    assert rows(visitor, host="other.example:8443", caller="anonymous") == [young]
    assert rows(visitor, caller="ops") == []
    assert rows(visitor, since=then) == [young]
    assert rows(visitor, until=then) == [old]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("gone", "dead the receiver says: gone"),
        ("client_errors", "dead refused too often"),
        ("deadline", "dead out of time"),
        ("worn_out", "dead worn_out"),  # a newer release's
    ],
)
def test_deliveries_say_why_when_they_are_dead(kernel: Kernel, why: str, said: str) -> None:
    over(kernel, died_of=why)
    assert said in words(operator(kernel).get(f"{PATH}?state=dead"))


@pytest.mark.parametrize(
    "query", [{"state": "gone"}, {"caller": "nobody"}, {"since": "soon"}, {"host": "a b"}]
)
def test_deliveries_are_not_shown_when_a_field_makes_no_sense(
    kernel: Kernel, query: dict[str, str]
) -> None:
    over(kernel)
    answer = operator(kernel).get(f"{PATH}?{urlencode(query)}")
    assert "Not understood:" in words(answer)
    assert ROW.findall(answer.text) == []


@pytest.mark.parametrize("state", ["", "dead"])
def test_deliveries_are_all_on_some_page_when_there_are_many(kernel: Kernel, state: str) -> None:
    made = [over(kernel, age) for age in (1, 2, 3, 4, 5)]
    visitor = limited(kernel, Limits(deliveries=2))
    found, address = [], f"{PATH}?state={state}"
    while address:
        answer = visitor.get(address)
        found += ROW.findall(answer.text)
        older = re.search(r'rel="next" href="([^"]*)"', answer.text)
        address = older[1].replace("&amp;", "&") if older else ""
    assert found == made


@pytest.mark.parametrize("before", ["x", "~", "2026~x", "1~" + "0" * 36])
def test_deliveries_begin_with_the_newest_when_the_cursor_is_none(
    kernel: Kernel, before: str
) -> None:
    made = over(kernel)
    assert rows(operator(kernel), before=before) == [made]


def test_delivery_is_due_again_when_its_button_is_pressed(kernel: Kernel) -> None:
    made = over(kernel)
    answer = operator(kernel).post(f"{PATH}/{made}/redeliver?state=dead")
    assert delivery(kernel, made).state == "pending"
    assert answer.headers["Location"] == f"{PATH}?done=done_redelivered&state=dead"


def test_delivery_stays_when_an_attempt_is_in_flight(kernel: Kernel) -> None:
    made = over(kernel, claim_token="0" * 36)
    answer = operator(kernel).post(f"{PATH}/{made}/redeliver")
    assert delivery(kernel, made).state == "dead"
    assert "done_in_flight" in answer.headers["Location"]


# ---- Many at once --------------------------------------------------------------------------------


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    return {name: value for name, value in HIDDEN.findall(text) if name not in ("token", "next")}


def counted(visitor: Visitor, **query: str) -> tuple[str, dict[str, str]]:
    """Count first: what the page says, and the form it offers."""
    answer = visitor.get(f"{PATH}/replay?{urlencode({**query, 'count': '1'})}")
    return words(answer), hidden(answer.text)


def replayed(visitor: Visitor, fields: dict[str, str], **query: str) -> str:
    """Confirm, and go on until all is done; what the page says then."""
    for _ in range(100):
        answer = visitor.post(f"{PATH}/replay?{urlencode(query)}", **fields)
        if answer.status_code == 303:
            return words(visitor.get(answer.headers["Location"]))
        assert answer.status_code == 200
        fields = hidden(answer.text)
    raise AssertionError("it does not end")


def test_replay_is_counted_by_host_and_sent_when_confirmed(kernel: Kernel) -> None:
    dead = [over(kernel), over(kernel, 2), over(kernel, 3, **OTHER)]
    kept = over(kernel, 4, "delivered")
    visitor = operator(kernel)
    said, fields = counted(visitor, state="dead")
    assert "3 would be sent again" in said
    assert "https://receiver.example:443 2 https://other.example:8443 1" in said
    assert [delivery(kernel, one).state for one in dead] == ["dead"] * 3
    assert "3 callbacks are due now." in replayed(visitor, fields, state="dead")
    assert [delivery(kernel, one).state for one in dead] == ["pending"] * 3
    assert delivery(kernel, kept).state == "delivered"


def test_replay_leaves_out_what_ended_after_it_was_counted(kernel: Kernel) -> None:
    first = over(kernel)
    visitor = operator(kernel)
    _, fields = counted(visitor)
    kernel.clock.shift(1)
    later = over(kernel, 0)
    assert "1 callbacks are due now." in replayed(visitor, fields)
    assert [delivery(kernel, one).state for one in (first, later)] == ["pending", "dead"]


def test_replay_goes_on_by_itself_when_there_are_many(kernel: Kernel) -> None:
    order_id = make_order(kernel, state="success", finished_at=kernel.clock.now())
    for age in range(7):
        over(kernel, age, order_id=order_id)
    visitor = limited(kernel, Limits(step_seconds=0.0, replay_batch=2))
    _, fields = counted(visitor)
    first = visitor.post(f"{PATH}/replay", **fields)
    assert "2 are due again so far" in words(first)
    assert 'hx-trigger="load"' in first.text
    assert "7 callbacks are due now." in replayed(visitor, hidden(first.text))


def test_replay_offers_nothing_when_nothing_fits(kernel: Kernel) -> None:
    make_delivery(kernel)
    said, fields = counted(operator(kernel), host="receiver.example")
    assert "Nothing would be sent." in said
    assert fields == {}


@pytest.mark.parametrize("query", [{"state": "pending"}, {"state": "x"}, {"caller": "nobody"}])
def test_replay_is_refused_when_its_filter_makes_no_sense(
    kernel: Kernel, query: dict[str, str]
) -> None:
    over(kernel)
    visitor = operator(kernel)
    said, fields = counted(visitor, **query)
    assert "Not understood:" in said
    assert fields == {}
    _, fields = counted(visitor)
    assert visitor.post(f"{PATH}/replay?{urlencode(query)}", **fields).status_code == 400


@pytest.mark.parametrize("fields", [{}, {"until_id": "x"}, {"after": "x", "until_id": "0" * 36}])
def test_replay_is_refused_when_its_form_is_not_ours(
    kernel: Kernel, fields: dict[str, str]
) -> None:
    made = over(kernel)
    assert operator(kernel).post(f"{PATH}/replay", **fields).status_code == 400
    assert delivery(kernel, made).state == "dead"


@pytest.mark.parametrize("path", [f"{PATH}/replay", f"{PATH}/{{id}}/redeliver"])
def test_deliveries_stay_when_a_form_has_no_token_or_all_is_read_only(
    make_kernel: Callable[..., Kernel], sqlite_url: str, path: str
) -> None:
    kernel, closed = make_kernel(sqlite_url), make_kernel(sqlite_url, dashboard="read-only")
    made = over(kernel)
    address = path.format(id=made)
    assert operator(kernel).post(address, add_token=False).status_code == 403
    visitor = operator(closed, name="viewer")
    assert "<form" not in visitor.live(PATH).text
    assert visitor.post(address).status_code == 403
    assert delivery(kernel, made).state == "dead"


def test_deliveries_show_hostile_text_as_text(kernel: Kernel) -> None:
    over(kernel, origin="https://<b>x</b>.example:443")
    text = operator(kernel).get(PATH).text
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
