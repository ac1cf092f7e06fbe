"""What a delivery looks like is settled with the outcome, whichever process sends it first."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, select

from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery import first_attempt
from kernel.delivery.claim import DueDelivery
from kernel.delivery.first_attempt import Desk
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from tests.support.factories import delivery, make_order
from tests.support.hints import FakeHints
from tests.support.ticketing import make_receiver, set_shape

URL = "https://tickets.example/api"


@pytest.fixture
def sent() -> list[DueDelivery]:
    return []


@pytest.fixture
def desk(kernel: Kernel, sent: list[DueDelivery], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk of a dispatcher whose thread does not run; what it knows stays known."""
    monkeypatch.setattr(first_attempt, "KNOWN_SECONDS", 3600.0)
    desk = Dispatcher(kernel, FakeHints()).desk
    desk.send = sent.append
    desk.open()
    return desk


def run(desk: Desk, url: str, first: bool = True) -> Delivery:
    """Run an order with this callback URL, its first attempt sent by the same process or not."""
    order_id = make_order(desk.kernel, callback_url=url)
    with desk.first_attempts() as first_attempts:
        end = execute(desk.kernel, order_id, first_attempts if first else None)
        assert end is not None
        assert end.owed is not None
        if first:
            first_attempts.send(end.owed)
    return delivery(desk.kernel, end.owed.id)


def test_delivery_remembers_the_highest_shape_at_the_outcome(desk: Desk) -> None:
    assert run(desk, URL, first=False).shapes_until is None
    receiver = make_receiver(desk.kernel, "itsm", URL)
    newest = set_shape(desk.kernel, receiver, {})
    assert run(desk, URL, first=False).shapes_until == newest


def test_first_attempt_and_row_agree_when_the_shape_was_changed_in_between(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    receiver = make_receiver(desk.kernel, "itsm", URL)
    known = run(desk, URL).shapes_until
    set_shape(desk.kernel, receiver, {"method": "PUT"})
    found = run(desk, URL)
    assert found.shapes_until == known == sent[1].shapes_until
    assert found.claim_token is not None


def test_order_that_names_a_receiver_queues_up_at_its_origin(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    make_receiver(desk.kernel, "itsm", URL)
    for first in (True, False):
        found = run(desk, "receiver:itsm", first)
        assert (found.url, found.origin) == ("receiver:itsm", "https://tickets.example:443")
    assert [one.url for one in sent] == ["receiver:itsm"]


def test_order_that_names_a_removed_receiver_ends_all_the_same(desk: Desk) -> None:
    make_receiver(desk.kernel, "itsm", URL)
    with desk.kernel.write() as connection:
        connection.execute(RECEIVERS.delete())
    assert run(desk, "receiver:itsm").origin == "receiver:itsm"


@pytest.fixture
def asked(kernel: Kernel) -> Iterator[Callable[[], list[str]]]:
    """Return the statements about receivers and shapes since the last call."""
    found: list[str] = []

    def say(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "kernel_receivers" in statement or "kernel_shapes" in statement:
            found.append(statement)

    engines = set(kernel.engines[1:])
    for engine in engines:
        event.listen(engine, "before_cursor_execute", say)
    yield lambda: [found.pop(0) for _ in range(len(found))]
    for engine in engines:
        event.remove(engine, "before_cursor_execute", say)


def test_plain_order_asks_nothing_about_receivers(
    desk: Desk, asked: Callable[[], list[str]]
) -> None:
    """The insert alone looks for the highest shape: no statement is added."""
    for first in (True, False):
        run(desk, URL, first)
        assert [one.split(None, 1)[0] for one in asked()] == ["INSERT"]
    with desk.kernel.read_session() as session:
        assert session.scalars(select(Delivery.state)).all() == ["pending", "pending"]
