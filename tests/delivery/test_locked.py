"""Callbacks whose secrets no key opens: our failure, which costs no attempt and loses nothing."""

import logging

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from kernel.callers.credentials import Credentials
from kernel.config.keyring import new_key
from kernel.db.tables.deliveries import Attempt
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ATTEMPTS_MADE
from kernel.testing import FakeTransport
from kernel.transport.backoff import SHORTEST_PUT_OFF
from tests.support.factories import delivery, make_delivery
from tests.support.sealing import with_keys
from tests.support.ticketing import make_receiver, owe, send_due

URL = "https://desk.example/in"
LOGIN = Credentials(bearer=SecretStr("hidden-token"))
OTHER = new_key().get_secret_value()


def sent(kernel: Kernel) -> int:
    """How many requests have gone out."""
    assert isinstance(kernel.transport, FakeTransport)
    return len(kernel.transport.sent)


def is_untouched(kernel: Kernel, delivery_id: str) -> bool:
    """Whether the delivery waits as if it had never been tried."""
    found = delivery(kernel, delivery_id)
    with kernel.read_session() as session:
        attempts = session.scalars(select(Attempt)).all()
    return (found.state, found.tries, found.attempt, attempts) == ("pending", 0, 0, [])


@pytest.mark.parametrize("keys", [(), (OTHER,)], ids=["none", "another"])
def test_callback_waits_for_the_key_and_is_then_delivered(
    kernel: Kernel, keys: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    delivery_id = make_delivery(kernel)
    with with_keys(kernel, *keys) as locked, caplog.at_level(logging.WARNING):
        assert [one.reason for one in send_due(locked)] == ["secrets"]
        assert locked.metrics.snapshot()[ATTEMPTS_MADE.name, ("secrets",)] == [1.0]
    assert (
        f"callback put off: a secret is sealed with the key {kernel.keyring.ids[0]}" in caplog.text
    )
    assert is_untouched(kernel, delivery_id)
    assert send_due(kernel) == []
    kernel.clock.shift(SHORTEST_PUT_OFF + 1)
    send_due(kernel)
    assert (delivery(kernel, delivery_id).state, sent(kernel)) == ("delivered", 1)


def test_receiver_gets_no_request_without_its_credentials(kernel: Kernel) -> None:
    with with_keys(kernel, OTHER) as other:
        make_receiver(other, "desk", URL, LOGIN)
    delivery_id, theirs = owe(kernel, URL), owe(kernel, "https://elsewhere.example/")
    reasons = {one.due.id: one.reason for one in send_due(kernel)}
    assert reasons == {delivery_id: "secrets", theirs: None}
    assert is_untouched(kernel, delivery_id) is False  # the other one has its attempt
    assert delivery(kernel, delivery_id).tries == 0
    assert sent(kernel) == 1


def test_nothing_is_looked_up_for_what_cannot_be_signed(kernel: Kernel) -> None:
    asked = {"url": f"{URL}?number={{{{ reference }}}}", "rows": "result", "match": "number"}
    asked |= {"equals": "{{ reference }}", "value": "id"}
    shape = {"lookup": asked, "url": URL + "/{{ found }}"}
    with with_keys(kernel, OTHER) as other:
        make_receiver(other, "desk", URL, LOGIN, shape=shape)
        owe(other, URL)
        assert [one.reason for one in send_due(other)] == ["secrets"]
    assert sent(kernel) == 0
