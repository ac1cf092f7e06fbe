"""Secrets of any type: sealed, shown nowhere, and gone with success, whatever the schema tells."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Secret
from sqlalchemy import select, update

from kernel.db.tables.orders import ORDERS
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.pages import get_order
from kernel.orders.secrets.arguments import SecretsGone, as_submitted
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import ANYBODY, CALLBACK
from tests.support.sealing import SECRETS_KEY

SECRETS: dict[str, Any] = {"word": "correct-horse", "pin": 73_191_234, "rate": 0.73125}


class Word(BaseModel):
    """Arguments with one secret, of a type."""

    word: Secret[str]


class Pin(BaseModel):
    """The same."""

    pin: Secret[int]


class Rate(BaseModel):
    """The same."""

    rate: Secret[float]


class Desk:
    """A kernel whose handlers take one secret each, and what they were given."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str) -> None:
        self.given: list[Any] = []
        handlers = Handlers()
        for tag, model in {"word": Word, "pin": Pin, "rate": Rate}.items():
            handlers.register(tag, model)(self._take)
        self.kernel = make_kernel(url, handlers=handlers, secrets_key=SECRETS_KEY)

    def _take(self, run: Run, args: Any) -> dict[str, Any]:
        ((_, secret),) = args
        self.given.append(secret.get_secret_value())
        return {}

    def submit(self, tag: str) -> str:
        """Accept an order."""
        members = {"select_tag": tag, "callback_url": CALLBACK, tag: SECRETS[tag]}
        return submit(self.kernel, ANYBODY, order_request(members, self.kernel.handlers)).order_id

    def row(self, order_id: str) -> Any:
        """The order's row."""
        with self.kernel.read() as connection:
            return connection.execute(select(ORDERS).where(ORDERS.c.id == order_id)).one()


@pytest.fixture
def desk(make_kernel: Callable[..., Kernel], database_url: str) -> Desk:
    """A desk on each kind of database."""
    return Desk(make_kernel, database_url)


@pytest.mark.parametrize("tag", SECRETS)
def test_secret_of_any_type_is_sealed_given_to_the_handler_and_gone_with_success(
    desk: Desk, tag: str
) -> None:
    order_id = desk.submit(tag)
    row = desk.row(order_id)
    assert json.loads(row.args) == {tag: "•••"}
    assert str(SECRETS[tag]) not in repr(tuple(row))
    assert row.secret_args.startswith("sealed:")
    drain(desk.kernel)
    assert desk.given == [SECRETS[tag]]
    row = desk.row(order_id)
    assert (row.state, row.secret_args) == ("success", None)


@pytest.mark.parametrize("tag", SECRETS)
def test_same_order_again_is_refused_when_its_secret_is_gone(desk: Desk, tag: str) -> None:
    order_id = desk.submit(tag)
    drain(desk.kernel)
    with desk.kernel.read_session() as session, pytest.raises(SecretsGone):
        as_submitted(desk.kernel, get_order(session, None, order_id))


@pytest.mark.parametrize("tag", SECRETS)
def test_order_of_any_secret_fails_in_words_when_it_is_run_without_it(desk: Desk, tag: str) -> None:
    order_id = desk.submit(tag)
    with desk.kernel.write() as connection:
        connection.execute(update(ORDERS).values(secret_args=None))
    drain(desk.kernel)
    assert desk.row(order_id).error_code == "secrets_gone"
    assert desk.given == []
