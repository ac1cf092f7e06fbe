"""A request id and a traceparent go with an order: answer, row, log lines, handler, callback."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from kernel.callers.credentials import check_header
from kernel.config.logging import BoundIds, JsonFormatter, binding
from kernel.formats.tracecontext import REQUEST_ID, child_of, traceparent_from
from kernel.handlers import Handlers, Run
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent, drain
from kernel.views.app import create_blueprint
from tests.support.clients import Anything, Client, FakeHints, client, serve
from tests.support.factories import order

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"
handlers = Handlers()
log = logging.getLogger("somebody.else")


@handlers.register("talk", Anything)
def talk(run: Run, args: Anything) -> dict[str, Any]:
    """Say something, and tell what it was given."""
    log.info("from within")
    return {"request_id": run.request_id, "traceparent": run.traceparent}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return what was logged so far, as a service's log would hold it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(BoundIds())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def submitted(zammad: Client, **headers: str) -> str:
    """Submit an order with these headers; return its id."""
    order = {"select_tag": "talk", "callback_url": "https://receiver.example/"}
    answer = zammad.post("/v1/orders", json=order, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json["data"]["order_id"])


def sent(kernel: Kernel) -> Sent:
    """Do what is due; return the one callback."""
    drain(kernel)
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    return transport.sent[0]


@pytest.mark.parametrize("given", ["a", "INC-4711.retry_2", "x" * 64])
def test_answer_carries_the_request_id_when_one_was_given(zammad: Client, given: str) -> None:
    answer = zammad.get("/v1/orders", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\x0bb", "ä", 'a"', "<x>"])
def test_answer_carries_a_new_request_id_when_the_given_one_is_malformed(
    zammad: Client, given: str
) -> None:
    made = zammad.get("/v1/orders", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert made != given
    assert REQUEST_ID.fullmatch(made)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/healthz"), ("GET", "/nothing"), ("GET", "/metrics"), ("PUT", "/v1/orders")],
)
def test_answer_carries_a_request_id_when_it_is_a_refusal_too(
    kernel: Kernel, method: str, path: str
) -> None:
    answer = Client(serve(kernel), None).open(method, path)
    assert REQUEST_ID.fullmatch(answer.headers["X-Request-ID"])


def test_answer_carries_one_request_id_when_a_view_has_a_bug(
    kernel: Kernel, zammad: Client
) -> None:
    kernel.clock = None  # type: ignore[assignment]
    answer = zammad.get("/v1/orders", headers={"X-Request-ID": "once"})
    assert (answer.status_code, answer.headers.getlist("X-Request-ID")) == (500, ["once"])


def test_request_ids_stay_with_the_blueprint_when_it_is_mounted(kernel: Kernel) -> None:
    host = Flask("host")
    host.add_url_rule("/own", view_func=lambda: "own")
    host.register_blueprint(create_blueprint(kernel, hints=FakeHints()))
    assert "X-Request-ID" not in host.test_client().get("/own").headers
    assert "X-Request-ID" in host.test_client().get("/v1/orders").headers


def test_ids_follow_the_order_to_its_callback_when_it_was_submitted_with_them(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = submitted(zammad, **{"X-Request-ID": "INC-1", "traceparent": GIVEN})
    found = order(kernel, order_id)
    assert (found.request_id, found.traceparent) == ("INC-1", GIVEN)
    headers = sent(kernel).headers
    assert headers["x-request-id"] == "INC-1"
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert span_id != PARENT


def test_handler_is_given_the_ids_when_it_runs(kernel: Kernel, zammad: Client) -> None:
    submitted(zammad, **{"X-Request-ID": "INC-1", "traceparent": GIVEN})
    result = sent(kernel).json()["data"]["result"]
    assert result == {"request_id": "INC-1", "traceparent": GIVEN}


def test_callback_has_no_traceparent_when_the_submit_had_none(
    kernel: Kernel, zammad: Client
) -> None:
    submitted(zammad, traceparent="00-nonsense")
    assert "traceparent" not in sent(kernel).headers


def test_log_lines_of_a_handler_carry_its_ids_when_it_says_nothing_of_them(
    kernel: Kernel, zammad: Client, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    order_id = submitted(zammad, **{"X-Request-ID": "INC-1"})
    drain(kernel)
    log.info("afterwards")
    (within,) = [line for line in lines() if line["message"] == "from within"]
    ids = {"order_id": order_id, "run": 1, "select_tag": "talk", "request_id": "INC-1"}
    assert within.items() >= ids.items()
    assert "order_id" not in lines()[-1]


def test_log_lines_of_a_submit_carry_the_request_id_when_it_is_accepted(
    zammad: Client, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    order_id = submitted(zammad, **{"X-Request-ID": "INC-1"})
    log.info("afterwards")
    (line,) = [one for one in lines() if one["message"] == "order accepted"]
    assert (line["order_id"], line["request_id"], line["caller"]) == (order_id, "INC-1", "zammad")
    assert "request_id" not in lines()[-1]


def test_log_lines_of_an_attempt_carry_the_request_id_when_it_fails(
    kernel: Kernel, zammad: Client, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    submitted(zammad, **{"X-Request-ID": "INC-1"})
    kernel.transport.answers = ["timeout"]  # type: ignore[attr-defined]
    drain(kernel)
    (line,) = [one for one in lines() if one["message"].startswith("callback attempt failed")]
    assert line["request_id"] == "INC-1"


def test_bound_ids_give_way_when_a_line_says_its_own(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    with binding(order_id="outer", run=1, select_tag=None):
        log.info("x", extra={"order_id": "own"})
    assert (lines()[-1]["order_id"], lines()[-1]["run"]) == ("own", 1)
    assert "select_tag" not in lines()[-1]


def test_submit_needs_no_more_statements_when_it_is_followed(
    kernel: Kernel, zammad: Client
) -> None:
    submitted(zammad)
    said: list[str] = []
    single = kernel.engines.single
    event.listen(single, "before_cursor_execute", lambda *a: said.append(a[2].split()[0]))
    submitted(zammad, **{"X-Request-ID": "INC-1", "traceparent": GIVEN})
    assert said.count("INSERT") == 1
    assert "UPDATE" not in said


@pytest.mark.parametrize("name", ["X-Request-ID", "traceparent", "tracestate"])
def test_static_header_is_refused_when_it_is_one_that_follows_orders(name: str) -> None:
    with pytest.raises(ValueError, match="kernel itself"):
        check_header(name, "x")


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (GIVEN, GIVEN),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f"00-{TRACE}-{PARENT}-03", GIVEN),
        (f"cc-{TRACE}-{PARENT}-01", GIVEN),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", GIVEN),
        (f"cc-{TRACE}-{PARENT}-01.what", None),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"00-{TRACE}-{PARENT}-01-", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE[1:]}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-1", None),
        (f"00-{TRACE}-{PARENT}-0g", None),
        (f" 00-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_traceparent_is_understood_as_the_standard_says(
    given: str | None, understood: str | None
) -> None:
    assert traceparent_from(given) == understood


def test_child_keeps_trace_and_flags_when_it_is_made() -> None:
    first, second = child_of(GIVEN), child_of(GIVEN)
    assert first != second
    assert (first or "").split("-")[1::2] == [TRACE, "01"]
    assert child_of(None) is None
