"""Signed links with which a person tells an order an event, once."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from kernel import Handlers, Run, Wait
from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from kernel.db.tables.gates import EVENTS
from kernel.errors import ConfigurationError
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.factories import make_order, order, rows
from tests.support.handlers.misbehaving import Named
from tests.support.hints import FakeHints
from tests.support.people.dashboard import (
    HOSTILE,
    SAME_ORIGIN,
    TOKEN,
    Visitor,
    operator_key,
    words,
)

FORM = re.compile(r'name="form" value="([^"]+)"')
HOURS_8 = timedelta(hours=8)


class Desk:
    """A kernel whose handler asks by a link, and a browser in which the link is opened."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str, **settings: Any) -> None:
        self.links: list[str] = []
        self.options: dict[str, Any] = {}
        registry = Handlers()
        registry.register("ask", Named)(self.ask)
        given = {"public_url": "https://kernel.example", **settings}
        self.kernel = make_kernel(url, registry, **given)
        self.hints = FakeHints()
        self.visitor = Visitor(serve(self.kernel, self.hints))
        self.order_id = make_order(self.kernel, select_tag="ask", args="{}", reference="INC1")

    def ask(self, run: Run, args: Named) -> Any:
        """Make a link and wait."""
        if run.has_waited:
            return {"told": [[one.name, one.data, one.told_by] for one in run.events]}
        options = dict(self.options)
        if isinstance(until := options.get("until"), timedelta):
            options["until"] = run.now + until
        self.links.append(run.link("approved", options.pop("data", {"stage": 1}), **options))
        return Wait("approved")

    def asked(self, **options: Any) -> str:
        """Run the order; return the path of its link."""
        self.options = options
        execute(self.kernel, self.order_id)
        return urlsplit(self.links[-1]).path

    def press(self, path: str, page: TestResponse, **changed: str) -> TestResponse:
        """Press the button of a page."""
        found, token = FORM.search(page.text), TOKEN.search(page.text)
        assert found is not None, page.text
        form = {"form": found[1]} | ({"token": token[1]} if token else {}) | changed
        base = self.visitor.base
        return self.visitor.client.post(path, base_url=base, data=form, headers=SAME_ORIGIN)

    def told(self) -> list[Any]:
        """What the order was told, by whom."""
        return [(one.name, one.told_by) for one in rows(self.kernel, EVENTS)]


@pytest.fixture
def desk(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Desk:
    return Desk(make_kernel, sqlite_url)


def test_page_asks_and_its_button_tells_once(desk: Desk) -> None:
    path = desk.asked(until=HOURS_8)
    page = desk.visitor.get(path)
    assert page.status_code == 200
    assert "INC1" in words(page)
    assert "stage 1" in words(page)
    assert desk.told() == []
    done = desk.press(path, page)
    assert (done.status_code, desk.told()) == (200, [("approved", "link")])
    assert "Your answer has been passed on" in words(done)
    assert desk.hints.hinted == [desk.order_id]
    again = desk.press(path, page)
    assert "This was answered before" in words(again)
    assert "This was answered before" in words(desk.visitor.get(path))
    assert len(desk.told()) == 1
    end = execute(desk.kernel, desk.order_id)
    assert end is not None
    assert end.outcome is not None
    assert end.outcome.result == '{"told":[["approved",{"stage":1},"link"]]}'


def test_page_is_kept_nowhere_and_names_its_address_to_no_site(desk: Desk) -> None:
    headers = desk.visitor.get(desk.asked()).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "noindex" in headers["X-Robots-Tag"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_looks_at_a_link_in_advance_tells_nothing(desk: Desk, method: str) -> None:
    path = desk.asked()
    desk.visitor.client.open(path, method=method, base_url=desk.visitor.base)
    assert desk.told() == []


@pytest.mark.parametrize("form", ["", "1.00", "nonsense", "9" * 30, "1." + "é" * 9])
def test_post_without_the_page_tells_nothing_and_asks(desk: Desk, form: str) -> None:
    path = desk.asked()
    answer = desk.press(path, desk.visitor.get(path), form=form)
    assert answer.status_code == 403
    assert "Press the button again" in words(answer)
    assert desk.told() == []
    assert desk.press(path, answer).status_code == 200


def test_post_from_another_site_tells_nothing(desk: Desk) -> None:
    path = desk.asked()
    found = FORM.search(desk.visitor.get(path).text)
    assert found is not None
    headers = {"Sec-Fetch-Site": "cross-site"}
    form, base = {"form": found[1]}, desk.visitor.base
    answer = desk.visitor.client.post(path, base_url=base, data=form, headers=headers)
    assert (answer.status_code, desk.told()) == (403, [])


def test_form_of_a_page_that_was_open_for_a_day_asks_again(desk: Desk) -> None:
    path = desk.asked()
    page = desk.visitor.get(path)
    desk.kernel.clock.shift(24 * 3600)
    assert (desk.press(path, page).status_code, desk.told()) == (403, [])


@pytest.mark.parametrize("when", ["late", "ended"])
def test_link_dies_with_its_time_and_with_its_order(desk: Desk, when: str) -> None:
    path = desk.asked(until=HOURS_8)
    page = desk.visitor.get(path)
    if when == "late":
        desk.kernel.clock.shift(8 * 3600 + 1)
    else:
        cancel(desk.kernel, None, desk.order_id)
    for answer in (desk.visitor.get(path), desk.press(path, page)):
        assert answer.status_code == 410
        assert "No answer is needed any more" in words(answer)
    assert desk.told() == []


def test_forged_links_are_answered_like_none(desk: Desk) -> None:
    path = desk.asked()
    last = "B" if path[-1] == "A" else "A"
    for wrong in (path[:-1] + last, path + "A", path + "=", "/e/x", "/e/", "/e/é", path[:30]):
        answer = desk.visitor.get(wrong)
        assert answer.status_code == 404, wrong
    assert "There is nothing here" in words(desk.visitor.get(path[:-1] + last))


def test_link_to_an_order_that_is_gone_is_answered_like_none(desk: Desk) -> None:
    path = desk.asked()
    with desk.kernel.write() as connection:
        connection.exec_driver_sql("DELETE FROM kernel_orders")
    assert desk.visitor.get(path).status_code == 404


def test_link_of_a_run_that_is_repeated_is_the_same(desk: Desk) -> None:
    first = desk.asked()
    with desk.kernel.write() as connection:
        connection.exec_driver_sql("UPDATE kernel_orders SET state = 'pending', gates = NULL")
    assert desk.asked() == first
    with desk.kernel.write() as connection:
        connection.exec_driver_sql("UPDATE kernel_orders SET state = 'pending', gates = NULL")
    assert desk.asked(data={"stage": 2}) != first


def test_forwarded_mail_decides_nothing_where_the_person_has_to_sign_in(desk: Desk) -> None:
    path = desk.asked(sign_in=True)
    answer = desk.visitor.get(path)
    assert (answer.status_code, desk.told()) == (303, [])
    form = desk.visitor.get(answer.headers["Location"])
    assert f'name="next" value="{path}"' in form.text
    key = operator_key(desk.kernel, "Ada")
    signed_in = desk.visitor.post("/dashboard/sign-in", add_token=False, key=key, next=path)
    assert (signed_in.status_code, signed_in.headers["Location"]) == (303, path)
    page = desk.visitor.get(path)
    assert "Signed in as Ada" in words(page)
    assert desk.press(path, page, token="0" * 64).status_code == 403
    assert desk.told() == []
    assert desk.press(path, page).status_code == 200
    assert desk.told() == [("approved", "Ada")]


def test_sign_in_leads_back_to_the_link_also_below_a_path(desk: Desk) -> None:
    desk.visitor.base = "https://kernel.example/below"
    path = desk.asked(sign_in=True)
    asked = desk.visitor.get(path).headers["Location"]
    form = desk.visitor.get(asked.removeprefix("/below")).text
    assert f'name="next" value="/below{path}"' in form


def test_post_without_a_session_leads_to_the_sign_in(desk: Desk) -> None:
    path = desk.asked(sign_in=True)
    desk.visitor.sign_in(operator_key(desk.kernel, "Ada"))
    page = desk.visitor.get(path)
    stranger = Desk.__new__(Desk)
    stranger.visitor = Visitor(serve(desk.kernel))
    answer = stranger.press(path, page)
    assert (answer.status_code, desk.told()) == (303, [])
    # Without the page's form as well: what is asked is for those who have signed in.
    answer = stranger.visitor.post(path, add_token=False)
    assert (answer.status_code, desk.told()) == (303, [])


def test_act_says_who_told(desk: Desk) -> None:
    path = desk.asked()
    desk.press(path, desk.visitor.get(path))
    with desk.kernel.read() as connection:
        act = search.find(connection, ActFilter())[0]
    assert (act["verb"], act["actor"], act["via"]) == ("order.tell", "link", "page")
    assert act["target"] == f"order {desk.order_id}"


def test_link_shows_its_data_as_text(desk: Desk) -> None:
    page = desk.visitor.get(desk.asked(data={HOSTILE[:40]: HOSTILE, "list": [1, {"a": "b"}]}))
    assert "<script>alert" not in page.text
    assert "<img" not in page.text


@pytest.mark.parametrize(
    ("settings", "options", "kind"),
    [
        ({"public_url": ""}, {}, ConfigurationError),
        ({"dashboard": "off"}, {"sign_in": True}, ConfigurationError),
        ({}, {"data": ["x"]}, TypeError),
        ({}, {"data": {"x": "y" * 1024}}, ValueError),
        ({}, {"until": "2026-11-20T08:00:00Z"}, TypeError),
        ({}, {"until": datetime(2026, 11, 20)}, ValueError),
    ],
)
def test_link_that_could_not_work_is_a_bug_of_the_handler(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    settings: dict[str, Any],
    options: dict[str, Any],
    kind: type[Exception],
) -> None:
    desk = Desk(make_kernel, sqlite_url, **settings)
    raised: list[type[BaseException]] = []
    ask = desk.ask

    def noting(run: Run, args: Named) -> Any:
        try:
            return ask(run, args)
        except Exception as error:
            raised.append(type(error))
            raise

    desk.kernel.handlers = Handlers()
    desk.kernel.handlers.register("ask", Named)(noting)
    desk.options = options
    execute(desk.kernel, desk.order_id)
    assert (raised, order(desk.kernel, desk.order_id).error_code) == ([kind], "internal_error")
