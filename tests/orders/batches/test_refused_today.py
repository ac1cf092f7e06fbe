"""Orders of a batch that were accepted once, and that would be refused today."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel import Handlers, Run
from kernel.builtin import CreateProject, create_project
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_app
from tests.support.batches import ids, send, sent
from tests.support.clients import Client, client, codes, is_refusal
from tests.support.factories import rows
from tests.support.hints import FakeHints

before, today = Handlers(), Handlers()
for each in (before, today):
    each.register("create_project", CreateProject)(create_project)


class Move(BaseModel):
    """What an order could say once."""

    name: str


class Stricter(BaseModel):
    """What it has to say since a deploy."""

    name: int


@before.register("moved", Move)
@before.register("gone", Move)
def moved(run: Run, args: Move) -> dict[str, Any]:
    """Do nothing."""
    return {}


@today.register("moved", Stricter)
def moved_strictly(run: Run, args: Stricter) -> dict[str, Any]:
    """Do nothing."""
    return {}


INSIDE = "https://10.1.2.3/"
# By a model, by a tag, by a network.
ORDERS_ONCE = [
    {"select_tag": "moved", "name": "a", "callback_url": None, "idempotency_key": "model"},
    {"select_tag": "gone", "name": "b", "callback_url": None, "idempotency_key": "tag"},
    {"select_tag": "create_project", "projname": "c", "callback_url": INSIDE}
    | {"idempotency_key": "network"},
]
GOOD = {"select_tag": "create_project", "projname": "d", "callback_url": None}


class Deployed:
    """An installation before and after its rules have changed."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str) -> None:
        self.kernel = make_kernel(url, before, callback_allow_nets=["10.0.0.0/8"])
        self.first = client(self.kernel)
        app = create_app(make_kernel(url, today, max_pending=3), FakeHints())
        self.today = Client(app, None)
        self.today.headers = self.first.headers


@pytest.fixture
def deployed(make_kernel: Callable[..., Kernel], database_url: str) -> Deployed:
    return Deployed(make_kernel, database_url)


def test_orders_of_a_batch_are_replayed_when_each_would_be_refused_today(
    deployed: Deployed,
) -> None:
    first = sent(deployed.first, ORDERS_ONCE)
    again = sent(deployed.today, ORDERS_ONCE)
    assert ids(again) == ids(first)
    assert [one["replayed"] for one in again["orders"]] == [True] * 3
    assert (again["accepted"], again["replayed"], again["refused"]) == (0, 3, 0)
    assert len(rows(deployed.kernel, ORDERS)) == 3


def test_refused_orders_of_a_batch_are_told_from_those_that_are_known(deployed: Deployed) -> None:
    first = sent(deployed.first, ORDERS_ONCE[:2])
    other = ORDERS_ONCE[1] | {"name": "another"}
    data = sent(deployed.today, [ORDERS_ONCE[0], other, ORDERS_ONCE[2], GOOD, ORDERS_ONCE[0]])
    assert ids(data)[0] == ids(data)[4] == ids(first)[0]
    assert [one.get("replayed") for one in data["orders"]] == [True, None, None, False, True]
    assert [one.get("code") for one in data["orders"]][1:3] == ["invalid_order"] * 2
    assert (data["accepted"], data["replayed"], data["refused"]) == (1, 2, 2)


def test_batch_of_refused_orders_is_refused_when_none_is_known(deployed: Deployed) -> None:
    sent(deployed.first, ORDERS_ONCE[:1])
    answer = send(deployed.today, [ORDERS_ONCE[1], ORDERS_ONCE[0] | {"name": "another"}])
    assert [place.split("/")[2] for place, _ in codes(answer)] == ["0", "1"]
    assert len(rows(deployed.kernel, ORDERS)) == 1


def test_batch_is_refused_with_all_that_is_wrong_beside_its_own_address(deployed: Deployed) -> None:
    """Of an order that is known, nothing is."""
    sent(deployed.first, ORDERS_ONCE[:1])
    orders, terms = [*ORDERS_ONCE[:2], GOOD, 7], {"callback_url": "ftp://a.example"}
    assert codes(send(deployed.today, orders, batch=terms)) == [
        ("/batch/callback_url", "callback_url_refused"),
        ("/orders/1/select_tag", "unknown_select_tag"),
        ("/orders/3", "object_type"),
    ]
    assert len(rows(deployed.kernel, ORDERS)) == 1


def test_whole_batch_of_known_orders_is_stored_and_known_itself(deployed: Deployed) -> None:
    first = sent(deployed.first, ORDERS_ONCE)
    data = sent(deployed.today, ORDERS_ONCE, "whole")
    assert ids(data) == ids(first)
    again = sent(deployed.today, ORDERS_ONCE, "whole")
    assert again["batch"]["order_id"] == data["batch"]["order_id"]
    assert ids(again) == ids(first)


def test_known_orders_are_answered_while_no_more_are_taken(deployed: Deployed) -> None:
    first = sent(deployed.first, [*ORDERS_ONCE, GOOD])
    assert is_refusal(send(deployed.today, [GOOD]), 503, "too_many_pending")
    assert ids(sent(deployed.today, ORDERS_ONCE)) == ids(first)[:3]
