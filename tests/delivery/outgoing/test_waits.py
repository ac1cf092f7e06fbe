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
