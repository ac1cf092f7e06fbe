"""A caller's rows that cannot be read: its own callbacks suffer at the most, and no other's."""

from typing import Any

import pytest
from sqlalchemy import insert, update

from kernel.callers.profile import profiles_of
from kernel.db.tables.callers import Caller
from kernel.db.tables.receivers import RECEIVERS, SHAPES
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from tests.support.factories import CALLBACK, delivery, make_delivery, make_order, order
from tests.support.hints import FakeHints
from tests.support.ticketing import make_receiver, owe, send_due

# Rules that an older release may have let in, and what a person has written by hand.
RULES = [
    {"allow_nets": '["fd00:ec2::/32"]'},
    {"allow_nets": '["10.0.0.1/8"]'},
    {"allow_nets": "["},
    {"allow_hosts": '["two words"]'},
    {"allow_hosts": "{}"},
    {"allow_hosts": "[7]"},
]


def change(kernel: Kernel, table: Any, **values: Any) -> None:
    """Write into all rows of a table."""
    with kernel.write() as connection:
        connection.execute(update(table).values(values))


@pytest.mark.parametrize("rules", RULES)
def test_callbacks_of_others_are_sent_beside_rules_that_make_no_sense(
    kernel: Kernel, rules: dict[str, str]
) -> None:
    with kernel.write_session() as session:
        row = {"name": "other", "created_at": kernel.clock.sql()}
        made = session.execute(insert(Caller).values(row | rules)).inserted_primary_key
        assert made is not None
    ids = [make_delivery(kernel), make_delivery(kernel, caller_id=made[0])]
    assert len(send_due(kernel)) == 2
    assert [delivery(kernel, one).state for one in ids] == ["delivered"] * 2


@pytest.mark.parametrize("rules", RULES)
def test_order_is_run_whose_callers_rules_make_no_sense(
    kernel: Kernel, rules: dict[str, str]
) -> None:
    change(kernel, Caller, **rules)
    order_id = make_order(kernel)
    desk = Dispatcher(kernel, FakeHints()).desk
    desk.open()
    with desk.first_attempts() as first_attempts:
        execute(kernel, order_id, first_attempts)
    assert (order(kernel, order_id).state, order(kernel, order_id).run) == ("success", 1)


def test_rules_open_what_can_be_read_of_them(kernel: Kernel) -> None:
    change(kernel, Caller, allow_nets='["fd00:ec2::/32", "10.1.0.0/16"]', allow_hosts='["desk", 7]')
    with kernel.read() as connection:
        grants = profiles_of(connection, [1], kernel.clock.now())[1].grants
    assert [str(net) for net in grants.allow_nets] == ["10.1.0.0/16"]
    assert "desk" in grants.allow_hosts


@pytest.mark.parametrize("terms", ["{", "[]", '"text"', '{"timeout"'])
def test_receiver_is_sent_to_whose_terms_cannot_be_read(kernel: Kernel, terms: str) -> None:
    make_receiver(kernel, "desk", "https://receiver.example/")
    change(kernel, RECEIVERS, terms=terms)
    owed = owe(kernel, CALLBACK)
    assert [one.reason for one in send_due(kernel)] == [None]
    assert delivery(kernel, owed).state == "delivered"


@pytest.mark.parametrize("variables", ["{", "[1]", "7"])
def test_nothing_is_sent_without_variables_that_cannot_be_read(
    kernel: Kernel, variables: str
) -> None:
    make_receiver(kernel, "desk", "https://receiver.example/desk")
    change(kernel, SHAPES, variables=variables)
    owed = owe(kernel, "https://receiver.example/desk/1")
    other = owe(kernel, "https://other.example/1")
    assert {one.due.id: one.reason is None for one in send_due(kernel)} == {
        owed: False,
        other: True,
    }
    assert delivery(kernel, owed).state == "pending", "a person may mend the row"
