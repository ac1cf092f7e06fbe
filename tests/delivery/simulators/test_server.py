"""The simulators' server and the faults that every system can have."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.receiver import authority
from tests.support.simulators import faults
from tests.support.simulators.open_trackers.itop import ITop
from tests.support.simulators.open_trackers.zammad import Zammad
from tests.support.simulators.server import Call, Fault

Ask = Callable[..., requests.Response]
TOKEN = {"Authorization": "Token token=zammad-token"}
NOTE: dict[str, Any] = {"json": {"article": {"body": "done"}}, "headers": TOKEN}


def test_segments_are_decoded_after_the_split_when_a_slash_is_encoded() -> None:
    call = Call("GET", "/projects/ops%2Fweb/issues?q=a%20b&q2=", {}, b"")
    assert call.segments == ("projects", "ops/web", "issues")
    assert call.query == {"q": "a b", "q2": ""}


def test_body_that_is_no_object_has_no_members() -> None:
    assert [Call("POST", "/", {}, body).members() for body in (b"[1]", b"{", b'{"a":1}')] == [
        {},
        {},
        {"a": 1},
    ]


@pytest.mark.parametrize("fault", [faults.lost, faults.hung_up])
def test_answer_is_lost_before_or_after_the_write_as_told(ask: Ask, fault: Fault) -> None:
    with Zammad() as zammad:
        ticket = zammad.open("22001")
        zammad.next(fault)
        with pytest.raises(requests.ConnectionError):
            ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE)
        assert ticket.texts == (["done"] if fault is faults.lost else [])
        assert ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE).status_code == 200
        assert len(zammad.calls) == 2


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        (faults.html, 200, ("Content-Type", "text/html; charset=utf-8")),
        (faults.html_error, 502, ("Content-Type", "text/html")),
        (faults.empty, 204, ("Content-Length", None)),
        (faults.redirect("http://127.0.0.1:1/", 307), 307, ("Location", "http://127.0.0.1:1/")),
        (faults.throttled(faults.ABSURD_WAIT), 429, ("Retry-After", "9223372036854775807")),
        (faults.throttled("7", X_RateLimit_Limit="5"), 429, ("X-RateLimit-Limit", "5")),
        (faults.unavailable(), 503, ("Content-Type", None)),
    ],
)
def test_fault_writes_nothing_and_answers_as_told(
    ask: Ask, fault: Fault, status: int, header: tuple[str, str | None]
) -> None:
    with Zammad() as zammad:
        ticket = zammad.open("22001")
        zammad.next(fault)
        answer = ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE)
        assert (answer.status_code, answer.headers.get(header[0])) == (status, header[1])
        assert ticket.notes == []


def test_latin1_answer_is_not_utf8_when_it_has_umlauts(ask: Ask) -> None:
    with Zammad() as zammad:
        ticket = zammad.open("22001")
        zammad.next(faults.latin1)
        answer = ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE)
        with pytest.raises(UnicodeDecodeError):
            answer.content.decode("utf-8")
        assert "größer" in answer.text
        assert ticket.texts == ["done"]


def test_slow_answer_comes_byte_by_byte(ask: Ask) -> None:
    with Zammad() as zammad:
        ticket = zammad.open("22001")
        zammad.next(faults.slow(0.01))
        begun = time.monotonic()
        answer = ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE)
        assert time.monotonic() - begun > 0.01 * (len(answer.content) - 1)
        assert answer.json()["number"] == "22001"


def test_fault_waits_for_its_request_when_others_come_first(ask: Ask) -> None:
    with Zammad() as zammad:
        ticket = zammad.open("22001")
        zammad.next(faults.unavailable(), on="^PUT ")
        search = ask(zammad, "GET", "/api/v1/tickets/search?query=number:22001", headers=TOKEN)
        assert search.status_code == 200
        assert ask(zammad, "PUT", f"/api/v1/tickets/{ticket.id}", **NOTE).status_code == 503


def test_simulator_speaks_tls_with_the_certificate_of_its_name(ask: Ask) -> None:
    with ITop(tls=("localhost",)) as itop, authority().cert_pem.tempfile() as ca:
        answer = ask(itop, "POST", "/webservices/rest.php", verify=ca)
        assert itop.url == f"https://localhost:{itop.port}"
        assert answer.json()["code"] == 1
