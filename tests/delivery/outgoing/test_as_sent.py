"""What is shown of a request is what the receiver got, byte for byte, but for its secrets."""

from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from kernel.callers.credentials import Basic, Credentials
from kernel.callers.profile import profiles_of
from kernel.callers.receivers import find
from kernel.db.tables.callers import SigningSecret
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_attempts, redeliver
from kernel.formats.shapes.shape import SECRET_URL
from kernel.formats.signing import new_secret
from kernel.insight.standing.as_sent import HIDDEN, Replica, Request
from kernel.insight.standing.described import acts_of, acts_on, described
from kernel.runtime.kernel import Kernel
from tests.support.receiver import Receiver
from tests.support.ticketing import make_receiver, owe, send_due, set_shape

HUSH = "hush-hush-1234"


def shown(kernel: Kernel, delivery_id: str) -> list[Request]:
    """What the attempts of a delivery have sent, and what the next one sends."""
    with kernel.read_session() as session:
        row = session.get_one(Delivery, delivery_id)
        profile = profiles_of(session.connection(), [row.caller_id], kernel.clock.now())
        acts = acts_of(acts_on(session, row.order_id), row.id)
        order = session.get_one(Order, row.order_id)
        replica = Replica(order, row, profile[row.caller_id], acts)
        tried = list_attempts(session, [delivery_id])[delivery_id]
        return [*(replica.of(one) for one in tried), replica.of()]


def is_told(request: Request, got: Any) -> None:
    """Each header shown was received: with its value, or as a secret."""
    for name, value in request.headers:
        assert name in got.headers
        assert value in (None, got.headers[name])
    assert got.headers.keys() - dict(request.headers).keys() <= {
        *("host", "content-length", "accept-encoding", "connection", "accept", "traceparent"),
    }


def test_envelope_is_shown_as_it_was_sent_and_its_signature_hidden(
    sender: Kernel, tickets: Receiver
) -> None:
    secret = {"caller_id": 1, "secret": new_secret(), "created_at": sender.clock.now()}
    with sender.write_session() as session:
        session.execute(insert(SigningSecret).values(**secret))
    owed = owe(sender, tickets.url + "x")
    send_due(sender)
    [got] = tickets.wait(1)
    sent, following = shown(sender, owed)
    assert (sent.method, sent.url, sent.body) == (got.method, tickets.url + "x", got.body)
    is_told(sent, got)
    assert dict(sent.headers)["webhook-signature"] is None
    assert dict(sent.headers)["webhook-timestamp"] == got.headers["webhook-timestamp"]
    assert dict(following.headers)["webhook-timestamp"] is None


def test_secrets_of_a_receiver_are_dots_in_headers_and_body(
    sender: Kernel, tickets: Receiver
) -> None:
    login = Credentials(
        basic=Basic(user="kernel", password=SecretStr(HUSH)),
        headers={"X-Token": SecretStr(HUSH)},
        secrets={"pin": SecretStr(HUSH)},
        sn_hmac=SecretStr(HUSH),
    )
    body = {"work_notes": "{{ reference }} is {{ state }}", "pin": "{{ secret.pin }}"}
    shape = {"method": "PATCH", "body": body, "url": tickets.url + "t/{{ reference }}"}
    make_receiver(sender, "itsm", tickets.url, login, shape=shape)
    owed = owe(sender, tickets.url)
    send_due(sender)
    [got] = tickets.wait(1)
    sent, _ = shown(sender, owed)
    assert (sent.method, sent.url) == ("PATCH", tickets.url + "t/INC1")
    assert sent.text == got.body.decode().replace(HUSH, HIDDEN)
    is_told(sent, got)
    secret = {name for name, value in sent.headers if value is None}
    assert secret == {
        "authorization",
        "x-token",
        "x-sn-hmac-signature-256",
        "webhook-signature",
    } & (got.headers.keys())
    assert sent.notes == ["secrets"]
    with sender.read_session() as session:
        order_id = session.get_one(Delivery, owed).order_id
        assert HUSH not in repr(described(sender, session, order_id))


def test_address_that_is_a_secret_is_not_shown(sender: Kernel, tickets: Receiver) -> None:
    address = f"{tickets.url}services/{HUSH}"
    login = Credentials(secrets={"url": SecretStr(address)})
    make_receiver(sender, "chat", tickets.url, login, shape={"url": SECRET_URL})
    owed = owe(sender, "receiver:chat", origin=tickets.url[:-1])
    sent = shown(sender, owed)[-1]
    assert HUSH not in repr(sent)
    assert sent.url == f"{tickets.url}{HIDDEN}"


def test_attempt_before_a_new_shape_keeps_its_bytes(sender: Kernel, tickets: Receiver) -> None:
    old, new = ({"body": {word: "{{ state }}"}} for word in ("old", "new"))
    receiver_id = make_receiver(sender, "itsm", tickets.url, shape=old)
    owed = owe(sender, tickets.url + "x")
    send_due(sender)
    set_shape(sender, receiver_id, new)
    redeliver(sender, None, owed, with_current_shape=True)
    send_due(sender)
    got = tickets.wait(2)
    first, second, following = shown(sender, owed)
    assert [first.body, second.body] == [one.body for one in got]
    assert following.body == second.body
    assert first.body == b'{"old":"success"}'


def test_what_cannot_be_rendered_says_why(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url, shape={"url": tickets.url + "{{ result.none }}"})
    sent = shown(sender, owe(sender, tickets.url + "x"))[-1]
    assert "needs result.none" in sent.refused


@pytest.mark.parametrize("is_there", [True, False])
def test_receiver_that_is_gone_leaves_the_shape_of_the_outcome(
    sender: Kernel, tickets: Receiver, is_there: bool
) -> None:
    receiver_id = make_receiver(sender, "itsm", tickets.url, shape={"body": {"a": "{{ state }}"}})
    owed = owe(sender, tickets.url + "x")
    if not is_there:
        set_shape(sender, receiver_id, None)
    assert shown(sender, owed)[-1].body == b'{"a":"success"}'
    with sender.read_session() as session:
        assert find(session, "anonymous", "itsm").id == receiver_id


def test_next_attempt_is_told_to_fail_when_the_reference_is_no_segment_of_its_url(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, shape={"url": "issue/{{ reference }}"})
    owed = owe(sender, tickets.url, told={"data": {"reference": "OPS/12"}})
    [following] = shown(sender, owed)
    assert "cannot be one segment of a URL" in (following.refused or "")


def test_user_agent_of_a_receiver_is_sent_in_place_of_ours(
    sender: Kernel, tickets: Receiver
) -> None:
    login = Credentials(headers={"User-Agent": SecretStr("desk-bot/1")})
    make_receiver(sender, "itsm", tickets.url, login)
    owed = owe(sender, tickets.url)
    send_due(sender)
    [request] = tickets.wait(1)
    assert request.headers["user-agent"] == "desk-bot/1"
    assert [value for name, value in shown(sender, owed)[0].headers if name == "user-agent"] == [
        None
    ]
