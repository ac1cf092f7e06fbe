"""Batches of keys that are limited to tags, of those that are revoked, and with secrets."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from sqlalchemy import update

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.keys import KeyTerms
from kernel.db.tables.callers import ApiKey
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers
from kernel.orders.secrets.arguments import MARK
from kernel.runtime.kernel import Kernel
from tests.support.batches import ONE, send, sent
from tests.support.clients import Client, client, handlers, is_refusal, serve
from tests.support.factories import rows


class Account(BaseModel):
    """A secret, and what everybody may read."""

    pin: SecretStr
    note: str = ""


class Open(BaseModel):
    """Nothing secret."""


def test_tags_of_a_limited_key_hold_for_each_order(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    with kernel.write_session() as session:
        terms = KeyTerms(tags=frozenset({"anything"}))
        key = keys.add(session, "ci", kernel.clock.now(), CallerRules(), terms).api_key
    assert key is not None
    limited = Client(serve(kernel), key.get_secret_value())
    data = sent(limited, [ONE, {"select_tag": "anything", "callback_url": None}])
    (error,) = data["orders"][0]["errors"]
    assert (error["pointer"], error["code"]) == ("/orders/0/select_tag", "forbidden")
    assert data["accepted"] == 1


def test_revoked_key_stores_no_batch(make_kernel: Callable[..., Kernel], database_url: str) -> None:
    kernel = make_kernel(database_url, handlers)
    zammad = client(kernel)
    sent(zammad, [ONE])
    with kernel.write_session() as session:
        session.execute(update(ApiKey).values(revoked_at=kernel.clock.now()))
    assert is_refusal(send(zammad, [ONE]), 401, "key_expired")  # known for a second yet
    assert len(rows(kernel, ORDERS)) == 1


@pytest.mark.parametrize(
    "wrong", [{"callback_url": "ftp://x"}, {"pin": None}, {"select_tag": "open_acount"}, {"x": 1}]
)
def test_fingerprint_of_a_batch_tells_no_secret_of_an_order_that_is_refused(
    make_kernel: Callable[..., Kernel], sqlite_url: str, wrong: dict[str, Any]
) -> None:
    """Of a SHA-256, all that is unknown in a body could be tried out: a PIN has four digits."""
    registry = Handlers()
    registry.register("open_account", Account)(lambda run, args: {})
    registry.register("anything", Open)(lambda run, args: {})
    kernel = make_kernel(sqlite_url, registry)
    zammad = client(kernel)
    good = {"select_tag": "anything", "callback_url": None}
    secret = {"select_tag": "open_account", "callback_url": None, "pin": "7319", "note": "n"}
    data = sent(zammad, [good, secret | wrong], "b1")
    assert (data["accepted"], data["refused"]) == (1, 1)
    assert sent(zammad, [good, secret | wrong], "b1")["batch"] == data["batch"]
    (row,) = [one for one in rows(kernel, ORDERS) if one.idempotency_key == "b1"]
    assert row.fingerprint.startswith(MARK)
    assert is_refusal(send(zammad, [good, secret], "b1"), 422, "idempotency_key_reused")


def test_fingerprint_of_a_batch_without_secrets_is_the_plain_one(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    sent(client(kernel), [ONE, ONE | {"projname": 1}], "b1")
    (row,) = [one for one in rows(kernel, ORDERS) if one.idempotency_key == "b1"]
    assert not row.fingerprint.startswith(MARK)
