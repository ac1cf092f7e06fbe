"""Faults that every system can have. Each replaces the answer to one request.

A fault gets the request, and a function that does what the system would have done.
"""

import json
from collections.abc import Callable

from tests.support.simulators.server import Call, Fault, HungUp, Reply

#: What blocked users of Jira Data Center are told to wait, in seconds: 2^63 - 1.
ABSURD_WAIT = str(2**63 - 1)

_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head>"
    "<body><h1>Please sign in</h1>{}</body></html>"
)


def lost(call: Call, work: Callable[[], Reply]) -> Reply:
    """Do the work, then hang up before the answer."""
    work()
    raise HungUp


def hung_up(call: Call, work: Callable[[], Reply]) -> Reply:
    """Hang up and do nothing."""
    raise HungUp


def html(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 200 with a page, and do nothing: a sleeping instance, a proxy's login page."""
    return Reply(200, _PAGE.format(""), content_type="text/html; charset=utf-8")


def html_error(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 502 with a proxy's page, and do nothing."""
    return Reply(502, _PAGE.format("Bad Gateway"), content_type="text/html")


def empty(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 204 without a body, and do nothing."""
    return Reply(204)


def latin1(call: Call, work: Callable[[], Reply]) -> Reply:
    """Do the work; answer in Latin-1, with umlauts."""
    made = work()
    body = made.encoded().decode()
    if body.startswith("{"):
        told = {**json.loads(body), "hinweis": "Rückmeldung übernommen: größer"}
        body = json.dumps(told, ensure_ascii=False)
    kind = "application/json; charset=iso-8859-1"
    return Reply(made.status, body.encode("latin-1"), made.headers, kind)


def encoded(encode: Callable[[bytes], bytes], **headers: str) -> Fault:
    """Do the work; send the body as ``encode`` makes it; `_` in a header's name stands for `-`."""

    def answer(call: Call, work: Callable[[], Reply]) -> Reply:
        made = work()
        kind = made.content_type or "application/json"
        return Reply(made.status, encode(made.encoded()), made.headers, kind).with_headers(
            **headers
        )

    return answer


def redirect(to: str, status: int = 302) -> Fault:
    """Send the client elsewhere, and do nothing."""
    return lambda call, work: Reply(status, headers={"Location": to})


def slow(pause: float) -> Fault:
    """Do the work; send the answer's body a byte at a time, ``pause`` seconds apart."""

    def answer(call: Call, work: Callable[[], Reply]) -> Reply:
        made = work()
        return Reply(made.status, made.body, made.headers, made.content_type, pause)

    return answer


def status(code: int, body: object = b"", **headers: str) -> Fault:
    """Answer with this status and do nothing; `_` in a header's name stands for `-`."""

    def answer(call: Call, work: Callable[[], Reply]) -> Reply:
        return Reply(code, body).with_headers(**headers)

    answer.__name__ = f"status_{code}"  # what a test is called by
    return answer


def throttled(after: str = "7", **headers: str) -> Fault:
    """Answer 429 with this Retry-After, and do nothing."""
    return status(429, {"error": "rate limit exceeded"}, Retry_After=after, **headers)


def unavailable(code: int = 503) -> Fault:
    """Answer 5xx without a body, and do nothing."""
    return status(code)
