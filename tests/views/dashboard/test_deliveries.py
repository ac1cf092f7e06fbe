"""The page of callbacks: found by filter, sent again one by one, and offered to a bulk act."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from kernel.db.ids import new_id
from kernel.filters.fields import CALLBACK_FIELDS
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Limits
from tests.support.clients import Client, serve
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.people.dashboard import Visitor, limited, operator, operator_key, said, words

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}
ROW = re.compile(r'id="d-([0-9a-f-]{36})"')
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
    assert "No matching callbacks." in words(visitor.get(f"{PATH}?state=dead"))


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
    found, address = [], f"{PATH}?state={state}" if state else PATH
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
    assert (answer.headers["Location"], said(answer)) == (f"{PATH}?state=dead", "done_redelivered")


def test_delivery_stays_when_an_attempt_is_in_flight(kernel: Kernel) -> None:
    made = over(kernel, claim_token="0" * 36)
    answer = operator(kernel).post(f"{PATH}/{made}/redeliver")
    assert delivery(kernel, made).state == "dead"
    assert said(answer) == "done_in_flight"


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ({}, {"state": "dead"}),
        ({"state": "pending", "host": "other.example"}, {"host": "other.example", "state": "dead"}),
        ({"state": "delivered", "since": "2026-01-02T03:04"}, None),
    ],
)
def test_callbacks_of_the_page_are_offered_to_a_bulk_act(
    kernel: Kernel, query: dict[str, str], offered: dict[str, str] | None
) -> None:
    visitor = operator(kernel)
    page = visitor.get(PATH, query_string=query).text
    (link,) = re.findall(r'href="([^"]*/bulk/new\?kind=redeliver[^"]*)"', page)
    address = urlsplit(unescape(link))
    found = dict(parse_qsl(address.query))
    assert found == {"kind": "redeliver", "count": "1"} | (query if offered is None else offered)
    assert "Not understood" not in words(visitor.get(unescape(link)))


def test_deliveries_stay_when_a_form_has_no_token_or_all_is_read_only(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel, closed = make_kernel(sqlite_url), make_kernel(sqlite_url, dashboard="read-only")
    made = over(kernel)
    address = f"{PATH}/{made}/redeliver"
    assert operator(kernel).post(address, add_token=False).status_code == 403
    visitor = operator(closed, name="viewer")
    assert "<form" not in visitor.live(PATH).text
    assert visitor.post(address).status_code == 403
    assert delivery(kernel, made).state == "dead"


@pytest.mark.parametrize(
    "query", ["died_of=deadline", "error=timed_out", "reference_prefix=IN&since=2h", "tag=mail"]
)
def test_callbacks_are_found_by_the_filters_of_the_api(kernel: Kernel, query: str) -> None:
    over(kernel)
    bad = {"state": "failed", "error_code": "timed_out", "reference": "INC1", "select_tag": "mail"}
    order_id = make_order(kernel, **bad, finished_at=kernel.clock.now())
    made = over(kernel, died_of="deadline", order_id=order_id)
    visitor = operator(kernel)
    assert ROW.findall(visitor.get(f"{PATH}?{query}").text) == [made]
    client = Client(serve(kernel), operator_key(kernel, "robot"))
    found = client.get(f"/v1/deliveries?{query.replace('tag=', 'select_tag=')}")
    assert [one["delivery_id"] for one in found.json["data"]["deliveries"]] == [made]


def test_every_field_of_the_filter_is_on_the_page_with_its_label(kernel: Kernel) -> None:
    page = operator(kernel).get(f"{PATH}?state=dead").text
    form = page[page.index('role="search"') :].partition("</form>")[0]
    assert set(re.findall(r'name="(\w+)"', form)) == {*CALLBACK_FIELDS, "zone"}
    labelled = re.findall(r"<label[^>]*>([^<]+)<", form)
    assert len([one for one in labelled if one.strip()]) == len(CALLBACK_FIELDS) - 1


def test_row_says_how_callback_and_work_stand(kernel: Kernel) -> None:
    bad = {"state": "failed", "error_code": "ad_gone", "reference": "INC0012345"}
    order_id = make_order(kernel, **bad, finished_at=kernel.clock.now())
    over(kernel, order_id=order_id, died_of="gone")
    said = words(operator(kernel).get(PATH))
    assert order_id not in said, "the reference stands for the id"
    assert (
        "INC0012345 create_project dead the receiver says: gone Not tried yet. "
        "https://receiver.example:443 failed ad_gone anonymous" in said
    )


def test_counts_and_files_are_of_what_is_listed(kernel: Kernel) -> None:
    made = [over(kernel, died_of="gone"), over(kernel, died_of="gone", **OTHER)]
    over(kernel, state="delivered")
    visitor = operator(kernel)
    page = visitor.get(f"{PATH}?died_of=gone").text
    assert "2 callbacks" in page
    links = (("gone", 2, visitor.get(PATH).text), ("https://other.example:8443", 1, page))
    for name, number, text in links:
        link = re.search(rf'href="([^"]+)">{name}</a> <small>{number}<', text)
        assert link is not None, name
        found = ROW.findall(visitor.get(unescape(link[1])).text)
        assert found == made[::-1][:number]
    file = visitor.get(f"{PATH}/export?died_of=gone&format=json")
    assert {one["delivery_id"] for one in json.loads(file.data)} == set(made)
    assert visitor.get(f"{PATH}/export?since=soon").status_code == 400


def test_deliveries_show_hostile_text_as_text(kernel: Kernel) -> None:
    over(kernel, origin="https://<b>x</b>.example:443")
    text = operator(kernel).get(PATH).text
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
