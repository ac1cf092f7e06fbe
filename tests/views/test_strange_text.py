"""Every place that reads a stranger's text, given text that only looks like what it expects.

Digits of other scripts, more digits than `int` takes, times and ids beyond the calendar, characters
that are no text: each is refused or left out, and none is a bug (500).
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from kernel.callers.identity import Scope
from kernel.db.ids import new_id, time_of
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, Client, client, serve
from tests.support.factories import make_delivery, make_order
from tests.support.people.dashboard import Visitor, operator, operator_key

LAST_ID = "ffffffff-ffff-7fff-bfff-ffffffffffff"
# `int`, `str.isdigit`, `datetime.fromisoformat` and the like read these, or trip over them.
STRANGE = [
    *("²", "٣", "①", "𝟙", "-0", "1_0", " 1", "1e9", "0x1", "9" * 4000, "9" * 20, "9" * 19),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "20261128"),
    *(LAST_ID, f"9999-12-31T23:59:59-14:00~{LAST_ID}", f"0001-01-01T00:00:00+14:00~{LAST_ID}"),
    *(
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\ufffe",
        "a" * 3000,
        "[",
        "[::1",
        "%",
        "{0}",
        "{{7*7}}",
        "../x",
        "桥",
        "x\x00",
    ),
]
LISTED = (
    "state tag select_tag caller host receiver error reference reference_prefix ordering_key batch"
    " since until cursor limit zone"
)
OF_ORDERS = f"{LISTED} callback waiting fingerprint text q ids ended_since ended_until x"
OF_CALLBACKS = f"{LISTED} died_of order x"
FIELDS = {
    "/dashboard/orders": "state tag caller host since until q before after done",
    "/dashboard/deliveries": "state host caller since until before done back",
    "/dashboard/bulk/new": "kind state tag caller host receiver error reference since until count",
    "/dashboard/callers": "done _scheme _external endpoint",
    "/dashboard/schedules": "done",
    "/dashboard/errors": "state tag before",
    "/dashboard/": "done _anchor",
    "/dashboard/sign-in": "next done",
    "/dashboard/trends": "span tag caller receiver host",
    "/dashboard/audit": "actor verb target since until before",
    "/v1/orders": OF_ORDERS,
    "/v1/orders/counts": "ids x",
    "/v1/orders/export": "format",
    "/v1/deliveries": OF_CALLBACKS,
    "/v1/deliveries/counts": "order x",
    "/v1/deliveries/export": "format",
    "/v1/trends": "span tag caller receiver host",
    "/v1/trends/tags": "span",
    "/v1/bulk": "cursor",
    "/v1/errors": "state tag cursor limit",
    "/test/callback/": "x",
}
FORMS = {
    "/dashboard/bulk": "rate reason again current_shape",
    "/dashboard/pauses": "what of for",
    "/dashboard/pauses/resume": "what of",
    "/dashboard/workers/drain": "host reason",
    "/dashboard/workers/resume": "host reason",
    "/dashboard/callers": "name scope days",
    "/dashboard/preferences": "language theme next",
    "/dashboard/sign-in": "key next",
}
ARGUMENT = re.compile(r"<(?:any\((\w+)[^>]*|[^>]*)>")
HEADERS = [
    *("Accept", "Accept-Language", "Authorization", "Content-Type", "Content-Encoding", "Cookie"),
    *("Host", "Origin", "Referer", "Sec-Fetch-Site", "X-Forwarded-Proto", "X-Forwarded-For"),
    *("Forwarded", "X-Request-ID", "traceparent", "tracestate", "X-Reference", "HX-Request"),
    *("Idempotency-Key", "X-Zammad-Delivery", "If-None-Match", "If-Modified-Since", "Range"),
]
AROUND = {
    "Accept": ["application/openmetrics-text;version={}", "text/plain;version={};escaping={}"],
    "Accept-Language": ["zh;q={}", "{},{};q=0.{}"],
    "Authorization": ["Bearer {}", "Basic {}", "Digest {}"],
    "Content-Type": ["application/json;charset={}", "multipart/form-data;boundary={}"],
    "Cookie": ["__Host-kernel={}", "kernel-language={}; kernel-theme={}"],
    "traceparent": ["00-{}-{}-01"],
    "Idempotency-Key": ['"{}"'],
}
MEMBERS = {
    "/v1/deliveries/replay": "since until host status dry_run x",
    "/v1/bulk": "kind filter again rate dry_run x",
    "/v1/pauses": "host caller x",
    "/v1/workers/drain": "host x",
}


def is_no_bug(answer: TestResponse) -> bool:
    """Tell whether it is no 500; what is streamed is read to its end."""
    return answer.status_code < 500 and answer.data is not None


@pytest.fixture
def busy(kernel: Kernel) -> Kernel:
    """A kernel with an order and a callback that is dead."""
    then = kernel.clock.now()
    make_order(kernel)
    make_delivery(kernel, id=new_id(then), state="dead", finished_at=then)
    return kernel


@pytest.fixture
def visitor(busy: Kernel) -> Visitor:
    return operator(busy)


@pytest.fixture
def zammad(busy: Kernel) -> Client:
    return Client(serve(busy), operator_key(busy, "all", " ".join(Scope)))


@pytest.mark.parametrize("path", FIELDS)
def test_query_is_read_or_refused_when_its_text_is_strange(
    visitor: Visitor, zammad: Client, path: str
) -> None:
    ask: Callable[..., TestResponse] = visitor.get if "dashboard" in path else zammad.get
    for name in FIELDS[path].split():
        for value in STRANGE:
            assert is_no_bug(ask(path, query_string={name: value})), (name, value)


@pytest.mark.parametrize("path", FORMS)
def test_form_is_read_or_refused_when_its_text_is_strange(visitor: Visitor, path: str) -> None:
    token, until = visitor.token(), LAST_ID
    for name in FORMS[path].split():
        for value in STRANGE:
            form = {"until_id": until, "token": token, "scope": "operator", name: value}
            assert is_no_bug(visitor.post(path, add_token=False, **form)), (name, value)


def routes(app: Flask) -> set[tuple[str, str]]:
    """Method and rule of every address that holds a stranger's text."""
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.arguments and "other methods" not in rule.endpoint
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@pytest.mark.slow
@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
def test_address_is_not_found_when_its_text_is_strange(
    visitor: Visitor, zammad: Client, value: str
) -> None:
    form = {"token": visitor.token(), "scope": "operator", "days": "30"}
    quoted = value.replace("%", "%25").replace("?", "%3F")
    asked = routes(zammad.app)
    assert len(asked) > 30
    for method, rule in sorted(asked):
        path = ARGUMENT.sub(lambda found: found[1] or quoted, rule)
        if "dashboard" not in rule:
            answer = zammad.open(method, path, json={})
        elif method == "GET":
            answer = visitor.get(path)
        else:
            answer = visitor.post(path, add_token=False, **form)
        assert is_no_bug(answer), (method, path[:100])


@pytest.mark.parametrize("name", HEADERS)
def test_header_is_read_or_refused_when_its_text_is_strange(zammad: Client, name: str) -> None:
    for value in STRANGE:
        given = value.replace("\x00", "").encode().decode("latin-1")
        for around in ["{}", *AROUND.get(name, [])]:
            headers: dict[str, Any] = {name: around.replace("{}", given)}
            assert is_no_bug(zammad.get("/metrics", headers=headers)), headers
            answer = zammad.post("/v1/orders", json=ORDER, headers=headers)
            assert is_no_bug(answer), (value, around)


@pytest.mark.parametrize("path", MEMBERS)
def test_member_is_read_or_refused_when_its_text_is_strange(zammad: Client, path: str) -> None:
    for name in MEMBERS[path].split():
        for value in STRANGE:
            assert is_no_bug(zammad.post(path, json={name: value})), (name, value)


def test_callback_url_is_refused_when_its_text_is_strange(busy: Kernel) -> None:
    caller = client(busy, "other")
    for value in STRANGE:
        for form in (
            "{}",
            "http://a.example:{}/",
            "http://{}/",
            "http://[{}]/",
            "http://a.example/{}",
        ):
            answer = caller.submit(callback_url=form.replace("{}", value))
            assert is_no_bug(answer), (form, value)


def test_time_of_an_id_is_the_calendars_last_when_no_calendar_has_it() -> None:
    assert time_of(LAST_ID).isoformat() == "9999-12-31T23:59:59.999999+00:00"
