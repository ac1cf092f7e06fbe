"""The small receiver of `kernel demo` and `kernel up`, and the postbox under it."""

import queue
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from kernel.cli.local.receiver import MAX_BODY_BYTES, Inbox, Post, Postbox, Received, Reply
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


@pytest.fixture
def postbox() -> Iterator[Callable[..., Postbox]]:
    """Open a postbox that answers like this."""
    opened: list[Postbox] = []

    def make(reply: Reply, hung_up: Callable[[Post], None] = lambda _: None) -> Postbox:
        opened.append(Postbox(lambda _: reply, 0, hung_up).__enter__())
        return opened[0]

    yield make
    for one in opened:
        one.__exit__()


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
def test_postbox_refuses_a_body_when_it_is_too_large(
    postbox: Callable[..., Postbox], size: int
) -> None:
    url = postbox(Reply(200)).url
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
        if size <= MAX_BODY_BYTES:
            sock.sendall(bytes(size))
        assert sock.recv(12) == (b"HTTP/1.1 200" if size <= MAX_BODY_BYTES else b"HTTP/1.1 413")


def test_postbox_tells_when_the_sender_hangs_up_before_the_answer(
    postbox: Callable[..., Postbox],
) -> None:
    gone: queue.SimpleQueue[Post] = queue.SimpleQueue()
    url = postbox(Reply(200, delay=60), gone.put).url
    with pytest.raises(requests.Timeout):
        requests.post(url, data=b"x", timeout=0.2)
    assert gone.get(timeout=10).body == b"x"


def test_postbox_answers_after_the_delay_it_was_told(postbox: Callable[..., Postbox]) -> None:
    url = postbox(Reply(200, delay=0.3)).url
    started = time.monotonic()
    assert requests.post(url, data=b"x", timeout=10).status_code == 200
    assert time.monotonic() - started >= 0.3
