"""The dashboard's frame: who may change something, what pages guard, how they say errors."""

import re
import sqlite3
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from kernel.errors import ConfigurationError
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_blueprint
from kernel.views.html.rendering import HERE
from tests.support.clients import FakeHints, serve
from tests.support.factories import make_order
from tests.support.people.dashboard import HOSTILE, Visitor, operator, operator_key, stranger, words

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


# ---- Changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "0" * 64, "😀"])
def test_change_is_refused_when_the_token_is_not_the_sessions(kernel: Kernel, token: str) -> None:
    visitor, order_id = operator(kernel), make_order(kernel)
    path = f"/dashboard/orders/{order_id}/cancel"
    answer = visitor.post(path, add_token=False, token=token)
    assert (answer.status_code, "out of date" in words(answer)) == (403, True)


def test_change_is_refused_when_the_token_is_of_another_session(kernel: Kernel) -> None:
    first, order_id = operator(kernel), make_order(kernel)
    second = stranger(kernel)
    second.sign_in(operator_key(kernel, "other"))
    path = f"/dashboard/orders/{order_id}/cancel"
    assert second.post(path, add_token=False, token=first.token()).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://kernel.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://kernel.example"},
    ],
)
@pytest.mark.parametrize("path", ["orders/{}/cancel", "sign-in", "sign-out", "preferences"])
def test_change_is_refused_when_a_page_of_another_site_asks(
    kernel: Kernel, headers: dict[str, str], path: str
) -> None:
    visitor, order_id = operator(kernel), make_order(kernel)
    form = {"token": visitor.token(), "key": operator_key(kernel, "other")}
    address = f"/dashboard/{path.format(order_id)}"
    answer = visitor.client.post(address, base_url=visitor.base, data=form, headers=headers)
    assert answer.status_code == 403


def test_nothing_can_be_changed_when_the_dashboard_is_read_only(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, dashboard="read-only")
    visitor, order_id = operator(kernel), make_order(kernel)
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "read-only" in words(page)
    assert f"{order_id}/cancel" not in page.text
    for change in ("cancel", "again", "deliveries/x/redeliver"):
        answer = visitor.post(f"/dashboard/orders/{order_id}/{change}")
        assert (answer.status_code, "read-only" in words(answer)) == (403, True)


def test_every_page_that_changes_something_asks_for_a_token(kernel: Kernel) -> None:
    """Walk the map of addresses: a page to come is not forgotten."""
    visitor = operator(kernel)
    open_to_all = {"sign_in", "preferences"}
    for rule in visitor.client.application.url_map.iter_rules():
        name = rule.endpoint.removeprefix("kernel.dashboard.")
        if name == rule.endpoint or name in open_to_all or "POST" not in (rule.methods or set()):
            continue
        path = re.sub(r"<[^>]*>", "1", rule.rule)
        assert visitor.post(path, add_token=False).status_code == 403, rule


# ---- What pages guard -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/orders", "/dashboard/nothing", "/dashboard/sign-in"]
)
def test_pages_load_nothing_from_elsewhere_and_are_kept_by_nobody(
    kernel: Kernel, path: str
) -> None:
    answer = operator(kernel).get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert re.findall(r'(?:src|href|action)="(?![/#])[^"]*"', answer.text) == []
    assert re.findall(r'<style|\sstyle=|\son\w+="|<script(?! src="/)', answer.text) == []


def test_no_template_trusts_a_text_or_needs_a_script_inside() -> None:
    for template in HERE.glob("templates/**/*.html"):
        code = template.read_text()
        assert not re.search(r"\|\s*safe|autoescape|Markup", code), template
        assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|js:", code), template


@pytest.mark.parametrize(
    "query", ["_scheme=javascript&_external=1", "_anchor=x", "_method=POST", "endpoint=x"]
)
def test_addresses_stay_ours_when_the_query_names_orders_for_the_router(
    kernel: Kernel, query: str
) -> None:
    page = operator(kernel).get(f"/dashboard/orders?{query}&state=failed")
    assert page.status_code == 200
    assert 'hx-get="/dashboard/orders?state=failed"' in page.text


def test_query_is_text_when_it_is_hostile(kernel: Kernel) -> None:
    visitor = operator(kernel)
    hostile = {"q": HOSTILE, "tag": HOSTILE, "state": HOSTILE, "done": HOSTILE, HOSTILE: HOSTILE}
    page = visitor.get("/dashboard/orders", query_string=hostile)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text


def test_files_are_kept_for_a_year_when_their_address_has_their_version(kernel: Kernel) -> None:
    visitor = stranger(kernel)
    page = visitor.get("/dashboard/sign-in").text
    found = re.findall(r'(?:src|href)="(/dashboard/static/[^"]+)"', page)
    assert len(found) >= 5
    for address in found:
        answer = visitor.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    other = visitor.get(re.sub(r"static/\w+/", "static/0/", found[0]))
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "name", ["../app.py", "..%2fapp.py", "vendor/../../app.py", "/etc/passwd", "nothing.css", "%00"]
)
def test_no_other_file_is_served_when_its_name_is_asked_for(kernel: Kernel, name: str) -> None:
    assert stranger(kernel).get(f"/dashboard/static/0/{name}").status_code in (401, 404)


# ---- Errors, languages, mounting --------------------------------------------------------------


def test_page_says_404_when_there_is_none(kernel: Kernel) -> None:
    for path in (
        "nothing",
        "orders/x",
        "orders/x/y/z",
        "orders/0199aaaa-0000-7000-8000-000000000000",
    ):
        answer = operator(kernel, name=path.replace("/", ".")).get(f"/dashboard/{path}")
        assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_page_says_500_and_no_more_when_there_is_a_bug(kernel: Kernel) -> None:
    visitor = operator(kernel)
    kernel.handlers = None  # type: ignore[assignment]
    answer = visitor.get("/dashboard/orders")
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert "TypeError" not in answer.text


@pytest.mark.parametrize(
    ("accepted", "heading"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "工单"), ("en-GB", "Orders"), ("fr", "Orders")],
)
def test_page_is_in_the_browsers_language_when_nobody_chose(
    kernel: Kernel, accepted: str, heading: str
) -> None:
    page = operator(kernel).get("/dashboard/orders", headers={"Accept-Language": accepted})
    assert f"<h1>{heading}</h1>" in page.text


def test_page_is_in_the_settings_language_when_the_browser_names_none(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    page = operator(make_kernel(sqlite_url, language="zh")).get("/dashboard/orders")
    assert '<html lang="zh-CN">' in page.text


def test_language_and_theme_are_remembered_when_chosen(kernel: Kernel) -> None:
    visitor = operator(kernel)
    back = "/dashboard/orders?state=failed"
    answer = visitor.post("/dashboard/preferences", language="zh", next=back)
    assert (answer.status_code, answer.location) == (303, back)
    visitor.post("/dashboard/preferences", theme="dark")
    page = visitor.get("/dashboard/orders", headers={"Accept-Language": "en"})
    assert '<html lang="zh-CN" data-theme="dark">' in page.text


def test_nothing_is_remembered_when_the_choice_is_none(kernel: Kernel) -> None:
    answer = operator(kernel).post("/dashboard/preferences", language="xx", theme=HOSTILE)
    assert "Set-Cookie" not in answer.headers


def test_root_leads_to_the_dashboard_when_it_is_on(kernel: Kernel) -> None:
    answer = serve(kernel).test_client().get("/")
    assert (answer.status_code, answer.location) == (302, "/dashboard/")


def test_nothing_is_there_when_the_dashboard_is_off(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    client = serve(make_kernel(sqlite_url, dashboard="off")).test_client()
    assert [client.get(path).status_code for path in ("/", "/dashboard/")] == [404, 404]


def test_setting_is_refused_when_it_is_none(make_kernel: MakeKernel, sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError, match="KERNEL_DASHBOARD"):
        make_kernel(sqlite_url, dashboard="maybe")


def test_pages_lead_to_each_other_when_mounted_below_a_prefix(kernel: Kernel) -> None:
    host = Flask("host")
    host.jinja_env.autoescape = False
    host.register_blueprint(create_blueprint(kernel, hints=FakeHints()), url_prefix="/desk")
    visitor = Visitor(host)
    answer = visitor.post("/desk/dashboard/sign-in", add_token=False, key=operator_key(kernel))
    assert answer.location == "/desk/dashboard/"
    make_order(kernel)
    page = visitor.get("/desk/dashboard/orders")
    assert page.status_code == 200
    assert re.findall(r'(?:src|href|action|hx-get)="(?!/desk/|#)[^"]*"', page.text) == []
    order = re.search(r'href="(/desk/dashboard/orders/[^"?]+)"', page.text)
    assert order is not None
    assert visitor.get(order[1]).status_code == 200


def test_page_says_what_was_done_once_and_to_this_visitor_alone(kernel: Kernel) -> None:
    visitor, other = operator(kernel), operator(kernel, name="other")
    order_id = make_order(kernel)
    answer = visitor.post(f"/dashboard/orders/{order_id}/cancel")
    stolen = re.findall(r"__Host-kernel-said=(\S+?);", str(answer.headers))[0]
    other.client.set_cookie("__Host-kernel-said", stolen, domain="kernel.example", secure=True)
    assert "The order is cancelled." not in words(other.get(answer.location))
    visitor.live(answer.location)
    assert "The order is cancelled." in words(visitor.get(answer.location))
    assert "The order is cancelled." not in words(visitor.get(answer.location))


@pytest.mark.parametrize("name", ["done", "said", "flash", "message"])
def test_link_makes_no_page_say_what_was_done(kernel: Kernel, name: str) -> None:
    visitor = operator(kernel)
    page = visitor.get(f"/dashboard/?{name}=done_cancelled")
    assert "The order is cancelled." not in words(page)


@pytest.mark.parametrize(
    "value", ["done_cancelled", "done_cancelled.", "done_cancelled.0a", ".", "é"]
)
def test_cookie_that_another_made_is_not_believed(kernel: Kernel, value: str) -> None:
    visitor = operator(kernel)
    visitor.client.set_cookie("__Host-kernel-said", value, domain="kernel.example", secure=True)
    page = visitor.get("/dashboard/")
    assert (page.status_code, "The order is cancelled." in words(page)) == (200, False)


def test_page_says_when_to_come_back_while_the_database_is_away(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr("kernel.views.dashboard.order.details.gate_shown", locked)
    answer = operator(kernel).get(f"/dashboard/orders/{make_order(kernel)}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
