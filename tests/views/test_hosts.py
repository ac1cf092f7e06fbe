"""Which hosts this service is known by, and that no other one gets into a link or a Location."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from kernel.config.settings import load
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_blueprint
from kernel.views.http.hosts import KnownHosts
from tests.support.clients import (
    ORDER,
    Client,
    FakeHints,
    client,
    handlers,
    is_refusal,
    new_key,
    serve,
)
from tests.support.factories import make_order
from tests.support.people.dashboard import stranger

EVIL = "evil.example"
LOOPBACK = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000"]
STRANGERS = [
    *(EVIL, "", "localhost:80@evil.example", "evil.example:80#localhost", "127.0.0.1.evil.example"),
    *("localhost.evil.example", "evil.example/localhost", "localhost/../x", "localhost evil", "[]"),
    *("[::1", "[::1]evil.example", "localhost:x", "localhost:123456", "localhost\\", "..", "::1"),
    *("0x7f.1", "2130706433", "10.0.0.9", "[::2]", "localhost\n", "１２７.0.0.1", "user@localhost"),
]
# What a client may send to seem to come by another address.
FORWARDED = {
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Prefix": "//evil.example",
    "X-Forwarded-For": "127.0.0.1",
    "Forwarded": f"host={EVIL}",
    "X-Original-URL": "//evil.example/",
    "SCRIPT-NAME": "//evil.example",
}


def knows(host: str, **settings: Any) -> bool:
    return KnownHosts(load(**settings)).knows(host)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers, hosts=["kernel.corp"])


@pytest.mark.parametrize("host", LOOPBACK)
def test_host_is_known_when_it_is_this_machine(host: str) -> None:
    assert knows(host)
    assert knows(host, bind="10.0.0.8:8000", hosts=["kernel.corp"])


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("kernel.corp", {"hosts": ["other.corp", "Kernel.Corp"]}),
        ("KERNEL.corp.:8443", {"hosts": "other.corp kernel.corp"}),
        ("[fd00::1]:8000", {"hosts": ["[fd00::1]"]}),
        ("10.0.0.8", {"bind": "10.0.0.8:8000"}),
        ("[fd00::1]", {"bind": "[fd00::1]:8000"}),
        ("0.0.0.0:8000", {"bind": "0.0.0.0:8000"}),
    ],
)
def test_host_is_known_when_settings_name_it(host: str, settings: dict[str, Any]) -> None:
    assert knows(host, **settings)
    assert not knows(host)


@pytest.mark.parametrize("host", STRANGERS)
def test_host_is_unknown_when_nothing_names_it(host: str) -> None:
    assert not knows(host, bind="0.0.0.0:8000", hosts=["kernel.corp"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/x/y"),
        ("POST", "/test/add/"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
    ],
)
def test_request_is_refused_in_the_envelope_when_its_host_is_unknown(
    kernel: Kernel, method: str, path: str
) -> None:
    zammad = client(kernel)
    answer = zammad.open(method, path, json=ORDER, headers={"Host": EVIL})
    assert is_refusal(answer, 421, "misdirected")
    assert "KERNEL_HOSTS" in answer.json["msg"]
    assert zammad.get("/v1/orders").json["data"]["orders"] == []


def test_page_of_the_dashboard_says_so_when_its_host_is_unknown(kernel: Kernel) -> None:
    answer = stranger(kernel, f"https://{EVIL}").get("/dashboard/sign-in")
    assert (answer.status_code, answer.mimetype) == (421, "text/html")
    assert "KERNEL_PUBLIC_URL" in answer.text


def test_page_of_an_order_and_probes_are_served_under_any_host(kernel: Kernel) -> None:
    zammad = client(kernel)
    page = zammad.submit().json["data"]["page"].removeprefix("http://localhost")
    for path in (page, "/healthz", "/readyz", "/metrics"):
        assert zammad.get(path, headers={"Host": EVIL}).status_code in (200, 403, 503), path
        assert EVIL not in zammad.get(path, headers={"Host": EVIL}).text


def test_link_begins_with_the_host_when_that_is_known(kernel: Kernel) -> None:
    page = client(kernel).post("/v1/orders", json=ORDER, headers={"Host": "kernel.corp:8443"})
    assert page.json["data"]["page"].startswith("http://kernel.corp:8443/o/")


@pytest.mark.parametrize("host", [EVIL, "10.244.0.7:8000", "localhost:80@evil.example"])
def test_any_host_is_served_and_none_appears_when_the_public_url_is_set(
    make_kernel: Callable[..., Kernel], sqlite_url: str, host: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers, public_url="https://k.corp/kernel", hosts=[])
    answer = client(kernel).post("/v1/orders", json=ORDER, headers=FORWARDED | {"Host": host})
    assert answer.json["data"]["page"].startswith("https://k.corp/kernel/o/")
    assert answer.headers["Location"] == f"/v1/orders/{answer.json['data']['order_id']}"
    assert "evil" not in f"{answer.text}{answer.headers}"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/dashboard", "/dashboard/"),
        ("/dashboard?next=//evil.example", "/dashboard/?next=//evil.example"),
        ("/", "/dashboard/"),
    ],
)
@pytest.mark.parametrize("public_url", ["", "https://k.corp"])
def test_redirect_names_no_host_when_a_stranger_asks(
    make_kernel: Callable[..., Kernel], sqlite_url: str, path: str, place: str, public_url: str
) -> None:
    app = serve(make_kernel(sqlite_url, public_url=public_url))
    answer = Client(app, None).get(path, headers=FORWARDED | {"Host": EVIL})
    assert (answer.status_code // 100, answer.headers["Location"]) == (3, place)


@pytest.mark.parametrize("path", ["/v1//orders", "/dashboard///evil.example//x"])
@pytest.mark.parametrize("public_url", ["", "https://k.corp"])
def test_address_that_is_meant_names_no_host_when_a_stranger_asks(
    make_kernel: Callable[..., Kernel], sqlite_url: str, path: str, public_url: str
) -> None:
    app = serve(make_kernel(sqlite_url, public_url=public_url))
    answer = Client(app, None).get(path, headers=FORWARDED | {"Host": EVIL})
    assert (answer.status_code, answer.headers.get("Location")) == (404, None)
    assert EVIL not in answer.text


def test_host_is_known_when_the_application_around_trusts_it(kernel: Kernel) -> None:
    app = Flask("another")
    app.config["TRUSTED_HOSTS"] = ["desk.corp"]
    app.register_blueprint(create_blueprint(kernel, hints=FakeHints()))
    zammad = Client(app, new_key(kernel, "zammad"))
    answers = [zammad.get("/v1/orders", headers={"Host": h}) for h in ("desk.corp", EVIL)]
    assert [one.status_code for one in answers] == [200, 400]


def test_line_to_paste_begins_with_a_known_host_when_an_operator_looks(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, auth="off")
    order_id = make_order(kernel)
    local = stranger(kernel, "http://127.0.0.1:8000").get(f"/dashboard/orders/{order_id}")
    assert "curl http://127.0.0.1:8000/v1/orders" in local.text


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, False),
        ({"bind": "localhost:80"}, False),
        ({"bind": "0.0.0.0:8000"}, True),
        ({"bind": "0.0.0.0:8000", "public_url": "https://k.corp"}, False),
        ({"bind": "0.0.0.0:8000", "hosts": ["k.corp"]}, False),
    ],
)
def test_start_warns_when_clients_would_be_refused(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    warned: bool,
) -> None:
    kernel = make_kernel(sqlite_url, **{"hosts": [], **settings})
    with caplog.at_level(logging.WARNING):
        serve(kernel)
    assert bool(startup.check_hosts(kernel.settings)) is warned
    assert ("answered 421" in caplog.text) is warned
