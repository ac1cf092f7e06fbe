"""The page for the person who ordered: one order by its signed link, and nothing else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from werkzeug.test import TestResponse

from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.testing import drain
from kernel.views.app import create_blueprint
from kernel.views.http.links import Links
from kernel.worker.maintenance.prune import prune
from tests.support.batches import ONE, sent
from tests.support.clients import Client, FakeHints, client, new_key
from tests.support.factories import make_delivery, make_order
from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m{{7*7}}"
CHINESE = {"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.5"}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


@pytest.fixture
def person(kernel: Kernel) -> Client:
    """Somebody without a key, at this kernel's application."""
    return Client(client(kernel).app, None)


def page_of(kernel: Kernel, order_id: str) -> str:
    """The path of an order's page."""
    return f"/o/{Links(ServiceKeys(kernel)).token(order_id)}"


def shown(person: Client, kernel: Kernel, headers: dict[str, str] | None = None, **row: Any) -> str:
    """What the page says of an order with this row."""
    answer = person.get(page_of(kernel, make_order(kernel, **row)), headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_link_opens_the_page_without_credentials_when_taken_from_the_answer(
    kernel: Kernel,
) -> None:
    zammad = client(kernel)
    page = zammad.submit().json["data"]["page"]
    assert page.startswith("http://localhost/o/")
    answer = Client(zammad.app, None).get(urlsplit(page).path)
    assert answer.status_code == 200
    assert "Waiting to begin" in answer.text


def test_link_is_the_same_when_the_order_is_repeated_or_polled(kernel: Kernel) -> None:
    zammad = client(kernel)
    first = zammad.submit(key="once").json["data"]
    polled = zammad.get(f"/v1/orders/{first['order_id']}").json["data"]
    assert first["page"] == polled["page"] == zammad.submit(key="once").json["data"]["page"]


def test_link_is_not_in_the_callback_when_it_is_sent(kernel: Kernel) -> None:
    client(kernel).submit()
    drain(kernel)
    assert "page" not in kernel.transport.sent[0].json()["data"]


@pytest.mark.parametrize(
    ("public_url", "begins"),
    [
        ("", "https://seen.example:8443/o/"),
        ("https://kernel.example.net", "https://kernel.example.net/o/"),
        ("https://it.example.net/kernel/", "https://it.example.net/kernel/o/"),
    ],
)
def test_link_leads_to_the_public_address_when_one_is_set(
    make_kernel: Callable[..., Kernel], sqlite_url: str, public_url: str, begins: str
) -> None:
    zammad = client(make_kernel(sqlite_url, public_url=public_url, hosts=["seen.example"]))
    seen = {"Host": "seen.example:8443", "X-Forwarded-Proto": "https"}
    zammad.headers |= seen
    assert zammad.submit().json["data"]["page"].startswith(begins)


def test_link_works_when_the_blueprint_is_mounted_below_another_address(kernel: Kernel) -> None:
    app = Flask("another")
    blueprint = create_blueprint(kernel, "second", FakeHints())
    app.register_blueprint(blueprint, url_prefix="/orders-desk")
    zammad = Client(app, new_key(kernel, "zammad"))
    order = {"select_tag": "create_project", "projname": "a", "callback_url": "https://a.example/"}
    page = zammad.post("/orders-desk/v1/orders", json=order).json["data"]["page"]
    assert urlsplit(page).path.startswith("/orders-desk/o/")
    assert Client(app, None).get(urlsplit(page).path).status_code == 200


def test_page_shows_how_far_a_running_order_is(kernel: Kernel, person: Client) -> None:
    far = {"progress_current": 40, "progress_total": 200, "progress_note": "40 imported"}
    said = shown(person, kernel, state="running", **far)
    assert 'max="100" value="20"' in said
    assert all(one in said for one in ("In progress", "20 %", "40 of 200", "40 imported"))


def test_bar_has_no_value_when_nobody_knows_how_far_it_is(kernel: Kernel, person: Client) -> None:
    said = shown(person, kernel, state="running")
    assert 'max="100" >' in said
    assert "%" not in said


def test_batch_is_as_far_as_its_orders_are(kernel: Kernel, person: Client) -> None:
    jira = client(kernel, "jira")
    batch = sent(jira, [ONE] * 4, batch={})["batch"]["order_id"]
    with kernel.write() as connection:
        one = select(func.max(ORDERS.c.id)).where(ORDERS.c.state == "pending").scalar_subquery()
        failed = update(ORDERS).where(ORDERS.c.id == one).values(state="failed")
        connection.execute(failed)
    said = person.get(page_of(kernel, batch)).text
    assert 'max="100" value="25"' in said
    assert "1 of 4" in said
    drain(kernel)
    said = person.get(page_of(kernel, batch)).text
    assert all(one in said for one in ("Partly done", "100 %", "4 of 4"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"state": "success", "message": "success", "result": '{"id": 7}'}, ("Done", "100 %", "7")),
        (
            {"state": "warning", "message": "3 of 9", "result": '{"errors": ["a"]}'},
            ("Partly done", "3 of 9", "errors"),
        ),
        (
            {"state": "failed", "message": "no such host", "error_code": "no_host"},
            ("Failed", "no such host"),
        ),
        ({"state": "cancelled", "message": "cancelled", "error_code": "cancelled"}, ("Cancelled",)),
    ],
    ids=lambda value: value["state"] if isinstance(value, dict) else "",
)
def test_page_shows_the_outcome_and_stops_asking_when_the_order_has_ended(
    kernel: Kernel, person: Client, row: dict[str, Any], expected: tuple[str, ...]
) -> None:
    said = shown(person, kernel, finished_at=kernel.clock.now(), **row)
    assert all(one in said for one in expected), said
    assert 'data-final="true"' in said
    assert "http-equiv" not in said


def test_page_shows_nothing_else_when_the_order_has_secrets(kernel: Kernel, person: Client) -> None:
    args = '{"projname": "s3cret-name"}'
    row = {"args": args, "callback_url": "https://secret.example/in", "idempotency_key": "k3y-once"}
    order_id = make_order(kernel, **row, request_id="r3quest")
    make_delivery(kernel, order_id)
    said = person.get(page_of(kernel, order_id)).text
    hidden = ("s3cret", "secret.example", "k3y-once", "r3quest", "anonymous", order_id)
    assert [one for one in hidden if one in said] == []


def test_page_shows_hostile_text_as_text(kernel: Kernel, person: Client) -> None:
    ended = {"state": "warning", "finished_at": kernel.clock.now(), "message": HOSTILE}
    result = '{"<img src=x onerror=alert(2)>": "<b>", "deep": [["</pre><script>"]]}'
    said = shown(person, kernel, result=result, **ended)
    running = shown(person, kernel, state="running", progress_note=HOSTILE)
    for page in (said, running):
        assert page.count("<script") == 1
        assert not any(tag in page for tag in ("<img", "<b>", "onerror=alert(2)>"))
        assert "&lt;script&gt;" in page
        assert "{{7*7}}" in page


def test_page_is_chinese_when_the_browser_prefers_it(kernel: Kernel, person: Client) -> None:
    failed = {"state": "failed", "finished_at": kernel.clock.now(), "error_code": "worker_lost"}
    lost = "the worker died again and again while running this order"
    said = shown(person, kernel, CHINESE, message=lost, **failed)
    assert 'lang="zh-CN"' in said
    assert "失败" in said
    assert "执行进程多次异常退出" in said


def test_page_is_loaded_again_without_a_script_until_the_order_ends(
    kernel: Kernel, person: Client
) -> None:
    refresh = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    assert refresh in shown(person, kernel, state="running")


def is_unknown(answer: TestResponse) -> bool:
    """Tell whether this is what a link gets that never was one."""
    return answer.status_code == 404 and "There is nothing here" in answer.text


def test_wrong_links_are_answered_like_unknown_ones_when_followed(
    kernel: Kernel, person: Client, make_kernel: Callable[..., Kernel], tmp_path: object
) -> None:
    page = page_of(kernel, make_order(kernel))
    other = make_kernel(f"sqlite:///{tmp_path}/other.db")
    forged = page[:-1] + ("A" if page[-1] != "A" else "B")
    never = page_of(kernel, "01a1fbbe-f34d-7981-810d-57a278250261")
    paths = (forged, page[:-1], page + "A", "/o/x", "/o/a/b", "/o/%00", f"{page}/", never)
    answers = [person.get(path) for path in paths]
    answers.append(person.get(page_of(other, make_order(other))))
    assert [is_unknown(one) for one in answers] == [True] * len(answers)
    assert len({one.text for one in answers}) == 1


def test_link_leads_nowhere_when_its_order_is_no_longer_kept(
    kernel: Kernel, person: Client
) -> None:
    long_ago = kernel.clock.now() - timedelta(days=31)
    page = page_of(kernel, make_order(kernel, state="success", finished_at=long_ago))
    assert is_unknown(person.get(page)), "though no worker has deleted it yet"
    prune(kernel)
    assert is_unknown(person.get(page))


def test_link_works_until_its_orders_retention_is_over(kernel: Kernel, person: Client) -> None:
    lately = kernel.clock.now() - timedelta(days=29.99)
    assert shown(person, kernel, state="success", finished_at=lately)
    assert shown(person, kernel, state="running", created_at=lately - timedelta(days=100))


def test_answers_have_no_link_when_pages_are_off(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, order_pages="off")
    zammad = client(kernel)
    submitted = zammad.submit().json["data"]
    polled = zammad.get(f"/v1/orders/{submitted['order_id']}").json["data"]
    assert [one for one in (submitted, polled) if "page" in one] == []
    page = page_of(kernel, submitted["order_id"])
    assert zammad.get(page).status_code == 404
    assert zammad.get("/o/static/x/kernel.css").status_code == 404


def test_page_stays_with_its_reader_when_answered(kernel: Kernel, person: Client) -> None:
    for path in (page_of(kernel, make_order(kernel)), "/o/unknown"):
        headers = person.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Robots-Tag"].startswith("noindex")
        assert "Set-Cookie" not in headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_page_says_so_and_tries_again_when_the_database_is_away(
    make_kernel: Callable[..., Kernel], main_database: MariaDB | PostgreSQL, main_database_url: str
) -> None:
    kernel = make_kernel(main_database_url)
    person = Client(client(kernel).app, None)
    page = page_of(kernel, make_order(kernel))
    assert person.get(page).status_code == 200
    main_database.stop()
    try:
        answer = person.get(page)
    finally:
        main_database.start()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Your order is safe" in answer.text
    assert person.get(page).status_code == 200


def test_nothing_is_stored_when_links_cannot_be_signed(kernel: Kernel) -> None:
    zammad = client(kernel)
    with kernel.write_session() as session:
        session.execute(text("DROP TABLE kernel_service_keys"))
    assert zammad.submit().status_code == 500
    assert zammad.get("/v1/orders").json["data"]["orders"] == []


def test_page_shows_the_reference_when_the_order_has_one(kernel: Kernel, person: Client) -> None:
    shown = person.get(page_of(kernel, make_order(kernel, reference="INC1 <b>"))).text
    assert "<h1><bdi>INC1 &lt;b&gt;</bdi> · <bdi>create_project</bdi></h1>" in shown
