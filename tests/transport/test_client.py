"""Requests to receivers that mean well: what is sent, what comes back, what is kept."""

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import responses

from kernel.errors import TransportError
from kernel.transport import connections
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Response, Transport
from kernel.transport.connecting.tls import TlsContext
from tests.support.receiver import Answer, Receiver, authority, hang_up, say

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
CLOSED = CallbackPolicy()
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NAMES = {"hooks.example.": ["127.0.0.1"]}


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def transport(ca_file: str) -> Iterator[Transport]:
    made = Transport(timeout=5, ca_file=ca_file, resolver=NAMES.__getitem__)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def post(transport: Transport, url: str, **headers: str) -> Response:
    return transport.send(Request(url, headers, b"{}"), LOOPBACK)


def failure(transport: Transport, url: str, policy: CallbackPolicy = LOOPBACK) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.send(Request(url, {}, b"{}"), policy)
    return caught.value


def test_post_sends_url_body_and_headers_as_given(transport: Transport, receiver: Receiver) -> None:
    path = "/%E6%88%90//a;b/%7e%2f[]/../~'?c=%2F&d=a%2fb%3d&f[0]=x?/"
    url = receiver.url.rstrip("/") + path
    transport.send(Request(url, {"webhook-id": "m1", "X-Api-Key": "k"}, "成".encode()), LOOPBACK)
    [request] = receiver.wait(1)
    assert (request.method, request.path) == ("POST", path)
    assert (request.headers["webhook-id"], request.headers["x-api-key"]) == ("m1", "k")
    assert request.body == "成".encode()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_request_has_its_method_and_body(
    transport: Transport, receiver: Receiver, method: str
) -> None:
    transport.send(Request(receiver.url, {}, b"{}", method), LOOPBACK)
    [request] = receiver.wait(1)
    assert (request.method, request.body) == (method, b"{}")
    assert request.headers["content-length"] == "2"


def test_get_has_no_body_and_no_length(transport: Transport, receiver: Receiver) -> None:
    receiver.script(Answer(200, body=b"[1]"))
    response = transport.send(Request(receiver.url + "?a=b", {"X-A": "c"}, method="GET"), LOOPBACK)
    [request] = receiver.wait(1)
    assert (request.method, request.path, request.headers["x-a"]) == ("GET", "/?a=b", "c")
    assert {"content-length", "transfer-encoding"}.isdisjoint(request.headers)
    assert response.body == b"[1]"


@pytest.mark.parametrize(
    ("method", "body"), [("DELETE", b""), ("get", b""), ("", b""), ("GET", b"z"), ("P\r\n", b"")]
)
def test_request_is_refused_when_it_has_another_method_or_a_get_a_body(
    method: str, body: bytes
) -> None:
    with pytest.raises(ValueError, match=r"is not one of|has no body"):
        Request("https://hooks.example/", {}, body, method)


def test_request_does_not_show_what_may_be_secret() -> None:
    request = Request("https://hooks.example/T0/s3cret", {"Authorization": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(request)


def test_post_sends_its_own_framing_when_headers_would_change_it(
    transport: Transport, receiver: Receiver
) -> None:
    wrong = {"hOst": "evil", "Content-Length": "9", "Transfer-Encoding": "chunked", "Cookie": "a"}
    transport.send(Request(receiver.url, wrong | {"accept-encoding": "br"}, b"{}"), LOOPBACK)
    [request] = receiver.wait(1)
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "kernel-workorders",
        "accept-encoding": "identity",
        "content-length": "2",
    }


def test_post_fails_and_sends_nothing_when_a_header_holds_a_line_break(
    transport: Transport, receiver: Receiver
) -> None:
    with pytest.raises(TransportError, match="Invalid header") as caught:
        post(transport, receiver.url, **{"X-A": "s3cret\r\nX-C: d"})
    assert (receiver.requests, "s3cret" in caught.value.detail) == ([], False)


def test_response_holds_status_lower_case_headers_body_and_phases(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.script(Answer(429, {"Retry-After": "7"}, b"z" * 5000))
    response = post(transport, receiver.url)
    assert (response.status, response.headers["retry-after"]) == (429, "7")
    assert (response.body, response.cut) == (b"z" * 1024, None)
    assert list(response.phases) == ["connect", "send", "wait", "read"]


@pytest.mark.parametrize(("wanted", "held"), [(0, 0), (9, 9), (20_000, 20_000), (90_000, 50_000)])
def test_response_holds_as_much_of_the_body_as_was_asked_for(
    transport: Transport, receiver: Receiver, wanted: int, held: int
) -> None:
    receiver.default = Answer(200, body=b"z" * 50_000)
    for _ in range(2):
        response = transport.send(Request(receiver.url, {}, read_bytes=wanted), LOOPBACK)
        assert (response.body, response.cut) == (b"z" * held, None)
    assert receiver.connections == 1


def test_request_has_a_time_of_its_own_when_it_names_one(receiver: Receiver) -> None:
    hasty = Transport(timeout=0.2)
    receiver.default = Answer(200, delay=0.6)
    assert hasty.send(Request(receiver.url, {}, timeout=5.0), LOOPBACK).status == 200
    assert failure(hasty, receiver.url).reason == "timeout"
    hasty.close()


@pytest.mark.parametrize("status", [200, 204, 299, 400, 404, 410, 500, 503, 599])
def test_response_is_returned_when_2xx_4xx_or_5xx(
    transport: Transport, receiver: Receiver, status: int
) -> None:
    receiver.script(status)
    assert post(transport, receiver.url).status == status


def test_connection_is_kept_when_the_answer_was_read(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.script(Answer(200, body=b"z" * 60_000), 500, Answer(404, body=b"z"))
    statuses = [post(transport, receiver.url).status for _ in range(4)]
    assert (statuses, receiver.connections) == ([200, 500, 404, 200], 1)


def test_connection_is_not_kept_when_the_receiver_closes_it(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.default = Answer(200, {"Connection": "close"})
    statuses = [post(transport, receiver.url).status for _ in range(3)]
    assert (statuses, receiver.connections) == ([200] * 3, 3)


@pytest.mark.parametrize(("max_idle", "connections"), [(0.0, 2), (30.0, 1)])
def test_connection_is_not_used_when_it_was_idle_for_long(
    receiver: Receiver, max_idle: float, connections: int
) -> None:
    transport = Transport(timeout=5, limits=Limits(max_idle=max_idle))
    statuses = [post(transport, receiver.url).status for _ in range(2)]
    assert (statuses, receiver.connections) == ([200, 200], connections)
    transport.close()


def test_cookies_are_not_kept(transport: Transport, receiver: Receiver) -> None:
    receiver.script(Answer(200, {"Set-Cookie": "a=b; Path=/"}))
    post(transport, receiver.url)
    post(transport, receiver.url)
    assert "cookie" not in receiver.wait(2)[1].headers


def test_environment_is_not_asked(
    transport: Transport, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert post(transport, receiver.url).status == 200
    assert "authorization" not in receiver.wait(1)[0].headers


def test_tls_goes_by_the_name_when_pinned_to_an_address(transport: Transport) -> None:
    with Receiver(tls=("hooks.example",)) as receiver:
        response = post(transport, receiver.url)
        again = post(transport, receiver.url)
        [request, _] = receiver.wait(2)
    assert list(response.phases) == ["dns", "connect", "tls", "send", "wait", "read"]
    assert (again.status, receiver.connections) == (200, 1)
    assert request.headers["host"] == f"hooks.example:{receiver.port}"


def test_tls_fails_when_the_certificate_is_for_another_name(transport: Transport) -> None:
    with Receiver(tls=("other.example",)) as receiver:
        error = failure(transport, f"https://hooks.example:{receiver.port}/")
    assert (error.reason, receiver.requests) == ("tls", [])


def test_tls_fails_when_the_authority_is_unknown() -> None:
    stranger = Transport(timeout=5, resolver=NAMES.__getitem__)
    with Receiver(tls=("hooks.example",)) as receiver:
        assert failure(stranger, receiver.url).reason == "tls"
    stranger.close()


def test_tls_settings_verify_and_start_at_1_2() -> None:
    context = TlsContext.make(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_transport_is_refused_when_the_ca_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Transport(ca_file=str(tmp_path / "none.pem"))


@pytest.fixture
def unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a kept connection is still on its way when the next request is written."""
    monkeypatch.setattr(connections, "is_silent", lambda _: True)


@pytest.mark.usefixtures("unnoticed")
def test_post_goes_over_a_fresh_connection_when_kept_ones_were_closed_unheard(
    transport: Transport, receiver: Receiver
) -> None:
    together = threading.Barrier(2)
    receiver.script(*[lambda exchange: (together.wait(10), say(EMPTY)(exchange))] * 2)  # and close
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: post(transport, receiver.url), range(2)))
    receiver.wait_closed(2)
    assert post(transport, receiver.url).status == 200
    assert (len(receiver.requests), receiver.connections) == (3, 3)


def test_post_fails_and_is_not_repeated_when_the_request_may_have_been_seen(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.script(200, hang_up)
    post(transport, receiver.url)
    assert failure(transport, receiver.url).reason == "connect"
    assert len(receiver.requests) == 2


def test_two_hundred_threads_share_a_transport(transport: Transport, receiver: Receiver) -> None:
    together = threading.Barrier(200)

    def one(number: int) -> bytes:
        together.wait(20)
        transport.send(Request(receiver.url, {}, str(number).encode()), LOOPBACK)
        return transport.send(Request(receiver.url, {}, b"again"), LOOPBACK).body

    with ThreadPoolExecutor(200) as pool:
        assert list(pool.map(one, range(200))) == [b""] * 200
    bodies = {request.body for request in receiver.wait(400)}
    assert bodies == {b"again", *(str(number).encode() for number in range(200))}


def test_connect_fails_when_no_program_listens(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failure(transport, f"http://127.0.0.1:{port}/").reason == "connect"


def test_loopback_is_refused_without_being_named(transport: Transport, receiver: Receiver) -> None:
    error = failure(transport, receiver.url, CLOSED)
    assert (error.reason, receiver.connections) == ("refused", 0)
    assert "KERNEL_CALLBACK_ALLOW_NETS or --callback-net: 127.0.0.1/32" in error.detail


@responses.activate
def test_post_passes_through_requests_own_seam(transport: Transport) -> None:
    responses.post("https://hooks.example/a", status=202, body=b"taken")
    response = transport.send(Request("https://hooks.example/a", {"X-A": "b"}, b"{}"), CLOSED)
    assert (response.status, response.body) == (202, b"taken")
    assert responses.calls[0].request.headers["X-A"] == "b"
