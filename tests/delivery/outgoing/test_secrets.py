"""A secret leaves for the origin and the prefix that it was made for, over TLS, and nowhere else.

A hostile receiver collects all that it gets, at another path, port or scheme, behind a redirect,
and from an order whose rendered URL leads elsewhere.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydantic import SecretStr

from kernel.callers.credentials import Basic, Credentials
from kernel.db.tables.callers import Caller
from kernel.runtime.kernel import Kernel
from tests.support.factories import delivery
from tests.support.receiver import Answer, Receiver, redirect
from tests.support.ticketing import attempts, make_receiver, owe, send_due

SECRET = "hush-hush-hush"
LOGIN = Credentials(
    basic=Basic("bot", SecretStr(SECRET)),
    headers={"X-Api-Key": SecretStr(SECRET)},
    sn_hmac=SecretStr(SECRET),
    secrets={"word": SecretStr(SECRET)},
)
BASIC = "Ym90Omh1c2gtaHVzaC1odXNo"


@pytest.fixture
def evil() -> Iterator[list[Receiver]]:
    """Hostile receivers by http and by https: on loopback, and under the ticket system's name."""
    with ExitStack() as stack:
        names = (("evil.example",), ("tickets.example",), ())
        yield [stack.enter_context(Receiver(tls=name)) for name in names]


def seen(*receivers: Receiver) -> str:
    """Everything that receivers got."""
    found = [str((one.path, one.headers, one.body)) for r in receivers for one in r.requests]
    return "\n".join(found)


def holds_a_secret(text: str) -> bool:
    """Look for the secret as it is, in Basic, and for what is made of it."""
    return any(one in text for one in (SECRET, BASIC, "x-sn-hmac", "x-api-key", "authorization"))


def test_receiver_gets_the_credentials_below_its_prefix(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url + "api", LOGIN)
    owe(sender, tickets.url + "api/incident/1")
    send_due(sender)
    [request] = tickets.wait(1)
    assert request.headers["authorization"] == f"Basic {BASIC}"
    assert request.headers["x-api-key"] == SECRET
    assert "x-sn-hmac-signature-256" in request.headers


@pytest.mark.parametrize(
    "path",
    [
        "", "ap", "apis/x", "other/api", "api/../x", "api/%2e%2e/x", "api/..%2fx", "api%2fx",
        "api/;x", "api//x", "%61pi%2f..%2fx", "x?api/", "api/%252e%252e/x", "API/x",
    ],
)  # fmt: skip
def test_no_secret_goes_by_another_path_of_the_same_host(
    sender: Kernel, tickets: Receiver, path: str
) -> None:
    make_receiver(sender, "itsm", tickets.url + "api", LOGIN)
    owe(sender, tickets.url + path)
    send_due(sender)
    assert not holds_a_secret(seen(tickets))
    tickets.wait(1)


def test_no_secret_goes_to_another_port_host_or_scheme(
    sender: Kernel, tickets: Receiver, evil: list[Receiver]
) -> None:
    make_receiver(sender, "itsm", tickets.url, LOGIN)
    for one in evil:
        owe(sender, one.url)
    owe(sender, f"http://tickets.example:{evil[2].port}/")
    send_due(sender)
    assert [len(one.requests) for one in evil] == [1, 1, 2]
    assert not holds_a_secret(seen(*evil))


def test_no_secret_follows_a_redirect(
    sender: Kernel, tickets: Receiver, evil: list[Receiver]
) -> None:
    make_receiver(sender, "itsm", tickets.url, LOGIN)
    tickets.script(*(redirect(one.url, status) for one in evil for status in (301, 307, 308)))
    for _ in range(9):
        owe(sender, tickets.url)
    send_due(sender)
    assert len(tickets.wait(9)) == 9
    assert [one.requests for one in evil] == [[], [], []]


@pytest.mark.parametrize("reference", ["../../x", "..", ".", "a/../../x", "//evil.example/", ""])
def test_rendered_url_stays_below_the_prefix_whatever_the_order_says(
    sender: Kernel, tickets: Receiver, reference: str
) -> None:
    shape = {"url": tickets.url + "api/incident/{{ reference }}"}
    make_receiver(sender, "itsm", tickets.url + "api/incident", LOGIN, shape=shape)
    owe(sender, "receiver:itsm", origin=tickets.url[:-1], told={"data": {"reference": reference}})
    send_due(sender)
    assert all(one.path.startswith("/api/incident/") for one in tickets.requests)
    assert all("x" not in one.path.split("/") for one in tickets.requests)


def test_nothing_is_sent_when_the_shapes_url_is_not_below_the_receivers(
    sender: Kernel, tickets: Receiver, evil: list[Receiver]
) -> None:
    for number, one in enumerate([*evil, tickets]):
        shape = {"url": one.url + "api/{{ reference }}"}
        make_receiver(sender, f"r{number}", tickets.url + "itsm", LOGIN, shape=shape)
        owe(sender, f"receiver:r{number}", origin=tickets.url[:-1])
    send_due(sender)
    assert not seen(tickets, *evil)
    assert {reason for _, reason, _ in attempts(sender)} == {"refused"}


def test_no_secret_goes_over_plain_http_unless_it_is_said(sender: Kernel) -> None:
    with Receiver() as plain:
        url = f"http://tickets.example:{plain.port}/"
        make_receiver(sender, "itsm", url, LOGIN)
        owe(sender, url)
        send_due(sender)
        assert (seen(plain), attempts(sender)[0][1]) == ("", "refused")
        make_receiver(sender, "said", url + "said", LOGIN, clear_text=True)
        owe(sender, url + "said")
        send_due(sender)
        assert holds_a_secret(seen(plain))


def test_draft_of_a_receiver_gets_no_secret(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url, LOGIN, is_draft=True)
    owe(sender, tickets.url)
    send_due(sender)
    tickets.wait(1)
    assert not holds_a_secret(seen(tickets))


def test_other_callers_receiver_gives_nothing_away(sender: Kernel, tickets: Receiver) -> None:
    """Each caller may name any URL, but use no other caller's password there."""
    make_receiver(sender, "mine", tickets.url + "mine")
    with sender.write_session() as session:
        session.add(Caller(id=2, name="other", created_at=sender.clock.now()))
    make_receiver(sender, "itsm", tickets.url, LOGIN, caller_id=2)
    owe(sender, tickets.url)
    send_due(sender)
    tickets.wait(1)
    assert not holds_a_secret(seen(tickets))


def test_answer_that_repeats_the_secrets_is_stored_without_them(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, LOGIN)
    tickets.script(Answer(500, body=f"{SECRET} {BASIC} you".encode()))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert finished.excerpt == "*** *** you"


def test_secret_url_is_shown_nowhere(
    sender: Kernel, tickets: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    kept = Credentials(secrets={"url": SecretStr(tickets.url + "services/" + SECRET)})
    shape = {"url": "{{ secret.url }}"}
    make_receiver(sender, "chat", tickets.url + "services", kept, shape=shape)
    tickets.script(lambda _: None)
    owed = owe(sender, "receiver:chat", origin=tickets.url[:-1])
    [finished] = send_due(sender)
    assert tickets.wait(1)[0].path == f"/services/{SECRET}"
    assert finished.reason == "protocol"
    stored = repr([delivery(sender, owed).__dict__, attempts(sender), finished])
    assert SECRET not in caplog.text + stored
