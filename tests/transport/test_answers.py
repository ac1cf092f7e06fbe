"""The fields of an answer, as receivers write them, and what is read of it."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Response, Transport
from tests.support.receiver import Exchange, Receiver, say

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
END = b"Content-Length: 0\r\n\r\n"


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport(5)
    yield made
    made.close()


def answered(transport: Transport, head: bytes) -> Response:
    with Receiver() as receiver:
        receiver.script(say(head))
        return transport.send(Request(receiver.url, {}, b"{}"), LOOPBACK)


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        (b"X-A: b\r\n", {"x-a": "b"}),
        (b"X-A:b\r\n", {"x-a": "b"}),
        (b"X-A: \t b \t \r\n", {"x-a": "b"}),
        (b"X-A:\r\n", {"x-a": ""}),
        (b"X-A: b: c\n", {"x-a": "b: c"}),
        (b"X_a.~1!: b\r\n", {"x_a.~1!": "b"}),
        (b"X-A: b\r\n c\r\n\td\r\n", {"x-a": "b c d"}),
        (b"X-A: b\r\nx-a: c\r\n", {"x-a": "c"}),
        (b"X-A: \xe9\x80\xff\r\n", {"x-a": "\xe9\x80\xff"}),
        (b"From me\r\nX-A: b\r\n", {"x-a": "b"}),
        (b"X-A : b\r\n", {}),
        (b": b\r\n", {}),
        (b" b\r\n", {}),
        (b"\x00: b\r\n\xff: c\r\nno field\r\n", {}),
    ],
)
def test_fields_are_read_as(transport: Transport, lines: bytes, read: dict[str, str]) -> None:
    response = answered(transport, b"HTTP/1.1 200 OK\r\n" + lines + END)
    assert (response.status, response.cut) == (200, None)
    assert dict(response.headers) == {"content-length": "0"} | read


def test_field_of_a_redirect_that_stands_twice_is_read_as_that_of_any_answer(
    transport: Transport,
) -> None:
    head = b"HTTP/1.1 302 Found\r\nRetry-After: 30\r\nretry-after: 40\r\n" + END
    with pytest.raises(TransportError) as error:
        answered(transport, head)
    assert error.value.data["retry_after"] == "40"


@pytest.mark.parametrize("length", ["", "-1", "x", "1_0x", "9" * 5000])
def test_body_is_read_to_the_close_when_its_length_is_none(
    transport: Transport, length: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    response = answered(transport, head + b"body")
    assert (response.status, response.body, response.cut) == (200, b"body", None)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 200\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.5 200 OK\r\nContent-Length: 2\r\n\r\nto the end", b"to"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nto\r\n0\r\n\r\n", b"to"),
        (b"HTTP/1.1 204 Gone\r\nContent-Length: 9\r\n\r\nbody", b""),
    ],
)
def test_body_ends_where_its_head_says(transport: Transport, head: bytes, body: bytes) -> None:
    assert answered(transport, head).body == body


@pytest.mark.parametrize("announced", [b"Transfer-Encoding: chunked", b"Content-Length: 9"])
def test_answer_without_content_ends_with_its_head_while_the_connection_stays(
    announced: bytes,
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sock.sendall(b"HTTP/1.1 204 Gone\r\n" + announced + b"\r\n\r\n")
        exchange.stopped.wait()

    transport = Transport(1)
    with closing(transport), Receiver() as receiver:
        receiver.script(answer)
        response = transport.send(Request(receiver.url, {}, b"{}"), LOOPBACK)
        assert (response.status, response.body, response.cut) == (204, b"", None)
        assert transport.kept == 0


TEXT = b"what was meant " * 100
PACKED, SHORT = gzip.compress(TEXT, mtime=0), gzip.compress(b"short", mtime=0)


@pytest.mark.parametrize(
    ("coding", "body", "read", "cut"),
    [
        ("gzip", PACKED, TEXT[:1024], None),
        (" GZIP ,, identity", PACKED, TEXT[:1024], None),
        ("deflate", zlib.compress(b"short"), b"short", None),
        ("gzip", b"", b"", None),
        ("br", b"", b"", None),
        ("", TEXT, TEXT[:1024], None),
        ("gzip", PACKED[:-9], TEXT[:1024], None),
        ("gzip", SHORT[:-9], b"short", "protocol"),
        ("gzip", TEXT, TEXT[:1024], None),
        ("br", "só".encode(), "só".encode(), None),
        ("utf-8", b'{"id":1}', b'{"id":1}', None),
        *(("deflate", text, text, None) for text in (b'{"id":1}', b"{}", b"done", b"true")),
        ("gzip", b"1", b"1", None),
        ("gzip", b"\xf6l", b"\xf6l", "coding"),
        ("br", PACKED, PACKED[:1024], "coding"),
        ("gzip, br", PACKED, PACKED[:1024], "coding"),
        ("gzip, gzip", PACKED, PACKED[:1024], "coding"),
        ("gzip" + ", gzip" * 99, PACKED, PACKED[:1024], "coding"),
    ],
)
def test_body_is_unpacked_though_no_coding_was_asked_for(
    transport: Transport, coding: str, body: bytes, read: bytes, cut: str | None
) -> None:
    lines = f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    response = answered(transport, b"HTTP/1.1 200 OK\r\n" + lines + body)
    assert (response.status, response.body, response.cut) == (200, read, cut)


def test_no_more_is_unpacked_than_was_asked_for(transport: Transport) -> None:
    body = gzip.compress(gzip.compress(bytes(64 << 20)))
    lines = f"Content-Encoding: gzip, gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert answered(transport, b"HTTP/1.1 200 OK\r\n" + lines + body).body == bytes(1024)
