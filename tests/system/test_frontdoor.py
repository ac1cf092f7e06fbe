"""A host as deploy/ sets it up: nginx in front, and the programs of the systemd units behind."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests
from standardwebhooks.webhooks import Webhook

from tests.support.deployment import PARTS, unit
from tests.support.frontdoor import From, Host, Nginx, SlowUpload, answers_in_time
from tests.support.stack import Stack
from tests.support.waiting import wait_until

SLOW_CLIENTS = 10
# limit_conn of deploy/nginx.conf.
SHARE = 100
ONE_PROCESS = pytest.mark.parametrize("stack", [{"api_processes": 1}], indirect=True)
TOKEN = "AZr0" * 12
IMPORT = {"select_tag": "import_projects", "callback_url": "https://receiver.example/"}


@pytest.fixture
def host(stack: Stack) -> Host:
    return Host(stack)


@pytest.fixture
def nginx(stack: Stack) -> Iterator[Nginx]:
    with closing(Nginx(stack.port)) as server:
        server.start()
        yield server


def bearer(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.key}"}


def test_order_comes_back_as_callback_when_the_units_run_behind_the_proxy(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    host.api()
    host.start("worker", host.says("worker", "ready."))
    host.start("dispatcher", host.says("dispatcher", "dispatcher started"))
    stack.port = nginx.port
    order_id = stack.submit("create_project", key="ticket-1", projname="Brücke 桥 🌉")
    received = stack.callback(order_id)
    assert Webhook(stack.secret).verify(received.body, dict(received.headers))["status"] == 0
    assert stack.submit("create_project", key="ticket-2", projname="next") != order_id


def test_unit_of_the_api_tells_systemd_that_it_is_ready_when_started(
    host: Host, tmp_path: Path
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(path))
        notified.settimeout(30)
        host.api({"NOTIFY_SOCKET": str(path)})
        assert b"READY=1" in notified.recv(4096)


@pytest.mark.parametrize("part", PARTS)
def test_unit_ends_by_itself_within_its_time_when_stopped(host: Host, part: str) -> None:
    words = {"api": "Booting worker", "worker": "ready.", "dispatcher": "dispatcher started"}
    child = host.start(part, host.says(part, words[part]))
    os.kill(child.pid, signal.SIGTERM)
    wait_until(lambda: child.returncode is not None, float(unit(part)["TimeoutStopSec"]))
    assert child.returncode == 0


@ONE_PROCESS
def test_proxy_answers_at_once_when_ten_others_upload_slowly(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    host.api()
    body = json.dumps(IMPORT | {"projects": [{"projname": "x"}] * 200}).encode()
    with ExitStack() as open_:
        slow = [SlowUpload(nginx.port, stack.key, body) for _ in range(SLOW_CLIENTS)]
        for client in slow:
            open_.callback(client.close)
            client.send(1000)
        assert answers_in_time(nginx.port, 5)
        assert [client.finish() for client in slow] == [202] * SLOW_CLIENTS


@ONE_PROCESS
def test_api_alone_does_not_answer_when_ten_others_upload_slowly(host: Host, stack: Stack) -> None:
    """Why the proxy is there. When this fails, gunicorn has learnt to do without."""
    host.api()
    with ExitStack() as open_:
        for _ in range(SLOW_CLIENTS):
            open_.callback(SlowUpload(stack.port, stack.key, b"{" * 2000).close)
        wait_until(lambda: not answers_in_time(stack.port, 1), 10, "all threads busy")


@pytest.mark.parametrize("size", [1_060_000, 3_000_000])
def test_proxy_refuses_bodies_that_are_too_large_in_the_envelope(
    host: Host, stack: Stack, nginx: Nginx, size: int
) -> None:
    """The smaller one is refused by the API, the larger one by nginx."""
    host.api()
    headers = bearer(stack) | {"Content-Type": "application/json"}
    answer = requests.post(nginx.url("/v1/orders"), b"x" * size, headers=headers, timeout=10)
    assert answer.status_code == 413
    assert answer.json()["data"]["code"] == "body_too_large"


@ONE_PROCESS
def test_proxy_refuses_one_address_more_requests_at_once_than_its_share(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    host.api()
    body = json.dumps(IMPORT | {"projects": [{"projname": "x"}]}).encode()
    with ExitStack() as open_:
        for _ in range(SHARE):
            open_.callback(SlowUpload(nginx.port, stack.key, body).close)
        wait_until(lambda: requests.get(nginx.url("/healthz"), timeout=5).status_code == 429)
        answer = requests.get(nginx.url("/healthz"), timeout=5)
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["data"]["code"] == "too_many_requests"
        another = requests.Session()
        another.mount("http://", From("127.0.0.2"))
        assert another.get(nginx.url("/healthz"), timeout=5).status_code == 200
        another.close()
    wait_until(lambda: requests.get(nginx.url("/healthz"), timeout=5).status_code == 200)


def test_proxy_compresses_what_holds_no_secret_and_nothing_else(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    """Lengths tell: an answer with a token beside a stranger's words is sent as it is (BREACH)."""
    host.api()
    page = requests.get(nginx.url("/dashboard/sign-in"), timeout=10)
    sheet, *_ = re.findall(r'href="(/[a-z]+/static/[^"]+\.css)"', page.text)
    for path, packed in ((sheet, True), ("/dashboard/sign-in", False), ("/v1/orders", False)):
        answer = requests.get(nginx.url(path), headers=bearer(stack), timeout=10)
        assert answer.status_code == 200, path
        assert answer.request.headers["Accept-Encoding"].startswith("gzip")
        assert (answer.headers.get("Content-Encoding") == "gzip") is packed, path
    assert len(page.content) > 1024, "long enough to be compressed, if that were on"


def test_logs_of_the_proxy_have_no_link_that_is_a_permission(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    links = [f"/{kind}/{TOKEN}{more}" for kind in "oe" for more in ("", "?lang=zh")]
    signing_in = [f"/dashboard/sign-in?next={link}" for link in (links[0], f"%2Fe%2F{TOKEN}")]
    signing_in.append(f"/dashboard/oidc/start?lang=zh&next={links[0]}")
    asked = ["/healthz?asked&next=/e/x", *links, *signing_in]
    for path in asked:  # the API is away, which the proxy tells in its log
        assert requests.get(nginx.url(path), timeout=10).status_code == 503
    host.api()
    asked = [asked[0], links[0], *signing_in[:2]]
    told = [requests.get(nginx.url(path), timeout=10).status_code for path in asked]
    assert told == [200, 404, 200, 200]
    logs = (nginx.folder / "access.log").read_text() + (nginx.folder / "output").read_text()
    assert logs.count("/healthz?asked") > 2
    assert TOKEN not in logs


def test_proxy_says_when_to_come_back_when_the_api_is_away(stack: Stack, nginx: Nginx) -> None:
    answer = requests.get(nginx.url("/v1/orders"), headers=bearer(stack), timeout=10)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert (answer.json()["status"], answer.json()["data"]["code"]) == (-1, "unavailable")


@pytest.mark.parametrize("stack", [{"auth": "off"}], indirect=True)
def test_proxy_makes_nobody_local_when_credentials_are_not_required(
    host: Host, stack: Stack, nginx: Nginx
) -> None:
    host.api()
    forged = {"Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1"}
    assert requests.get(nginx.url("/v1/orders"), headers=forged, timeout=10).status_code == 401
    assert stack.get("/v1/orders", headers={}).status_code == 200


def test_proxy_keeps_measurements_to_itself_when_asked_from_outside(
    host: Host, nginx: Nginx
) -> None:
    host.api()
    assert requests.get(nginx.url("/metrics"), timeout=10).status_code == 404
    answer = requests.get(nginx.url("/healthz"), timeout=10)
    assert answer.status_code == 200
    assert "nginx/" not in answer.headers.get("Server", "")
