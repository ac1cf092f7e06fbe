"""When a receiver is asked again: not before the answer's own words, whatever its kind."""

from datetime import timedelta
from typing import Any

import pytest

from kernel.delivery.attempt import FinishedAttempt
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import RetryIn
from tests.support.receiver import Answer, Receiver
from tests.support.ticketing import make_receiver, owe, send_due

HOUR = timedelta(hours=1)


def asked_again(finished: FinishedAttempt) -> timedelta:
    """After which pause the delivery is due again."""
    assert isinstance(finished.verdict, RetryIn)
    return finished.verdict.pause


@pytest.mark.parametrize("status", [302, 307, 400, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "shape",
    [None, {}, {"answer": [{"is": "retry", "status": ["3xx", "4xx", "5xx"]}]}],
    ids=["plain", "receiver", "rules"],
)
def test_retry_after_counts_with_every_answer_that_is_no_success(
    sender: Kernel, tickets: Receiver, status: int, shape: dict[str, Any] | None
) -> None:
    if shape is not None:
        make_receiver(sender, "itsm", tickets.url, shape=shape)
    tickets.script(Answer(status, {"Location": tickets.url, "Retry-After": "3600"}))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert finished.status == status
    assert asked_again(finished) >= HOUR


@pytest.mark.parametrize("status", [200, 401, 429, 503])
@pytest.mark.parametrize("asked", ["lookup", "callback"])
def test_headers_of_the_shape_count_in_both_answers_of_an_attempt(
    sender: Kernel, tickets: Receiver, asked: str, status: int
) -> None:
    table = tickets.url + "table"
    shape: dict[str, Any] = {"url": table + "/{{ reference }}", "wait": {"x-reset": "seconds"}}
    shape["answer"] = [{"is": "delivered", "status": 201}]
    if asked == "lookup":
        question = {"url": table, "equals": "{{ reference }}", "match": "number", "value": "id"}
        shape |= {"lookup": question, "url": table + "/{{ found }}"}
    make_receiver(sender, "itsm", table, shape=shape)
    tickets.script(Answer(status, {"X-Reset": "3600"}, b"{}"))
    owe(sender, "receiver:itsm", origin=tickets.url[:-1])
    [finished] = send_due(sender)
    assert (finished.status, len(tickets.requests)) == (status, 1)
    assert asked_again(finished) >= HOUR


@pytest.mark.parametrize("header", ["RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"])
@pytest.mark.parametrize("status", [200, 404, 429, 500, 502, 503])
def test_reset_of_a_rate_limit_counts_where_the_limit_is_reached(
    sender: Kernel, tickets: Receiver, status: int, header: str
) -> None:
    """ServiceNow, GitLab and Zendesk send it with every answer."""
    table = tickets.url + "table"
    question = {"url": table, "equals": "{{ reference }}", "match": "number", "value": "id"}
    shape = {"lookup": question, "url": table + "/{{ found }}", "wait": {header: "seconds"}}
    make_receiver(sender, "itsm", table, shape=shape)
    tickets.script(Answer(status, {header: "3600"}, b"[]"))
    owe(sender, "receiver:itsm", origin=tickets.url[:-1])
    [finished] = send_due(sender)
    assert finished.status == status
    assert (asked_again(finished) >= HOUR) == (status in (429, 503))
