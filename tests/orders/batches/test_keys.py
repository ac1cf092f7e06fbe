"""Batches of keys that are limited to tags, and of those that are revoked."""

from collections.abc import Callable

from sqlalchemy import update

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.keys import KeyTerms
from kernel.db.tables.callers import ApiKey
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.batches import ONE, send, sent
from tests.support.clients import Client, client, handlers, is_refusal, serve
from tests.support.factories import rows


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
