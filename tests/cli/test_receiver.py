"""The small receiver of `kernel demo` and `kernel up`."""

import time
from collections.abc import Iterator

import pytest
import requests

from kernel.cli.local.receiver import MAX_BODY_BYTES, Inbox, Received
from kernel.formats.signing import headers, new_secret

BODY = b'{"status":0,"msg":"success","data":{"order_id":"o-1"}}'
SECRET = new_secret()


@pytest.fixture
def received() -> list[Received]:
    """What the inbox has taken."""
    return []


@pytest.fixture
def inbox(received: list[Received]) -> Iterator[Inbox]:
    """An open inbox."""
    with Inbox([SECRET], received.append) as opened:
        yield opened


def post(inbox: Inbox, body: bytes, secret: str = SECRET) -> int:
    """POST a signed callback; return the status of the answer."""
    signed = headers([secret], "m-1", int(time.time()), body)
    return requests.post(inbox.url, body, headers=signed, timeout=10).status_code


def test_inbox_takes_what_is_signed(inbox: Inbox, received: list[Received]) -> None:
    assert post(inbox, BODY) == 204
    assert [(one.webhook_id, one.order_id) for one in received] == [("m-1", "o-1")]


def test_inbox_refuses_what_others_have_signed(inbox: Inbox, received: list[Received]) -> None:
    assert post(inbox, BODY, new_secret()) == 401
    assert received == []


def test_inbox_refuses_what_is_too_large(inbox: Inbox) -> None:
    answer = requests.post(
        inbox.url, headers={"content-length": f"{MAX_BODY_BYTES + 1}"}, timeout=10
    )
    assert answer.status_code == 413
