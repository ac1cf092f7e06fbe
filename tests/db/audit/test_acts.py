"""Acts: one row per change, in its transaction; found again; nothing secret in them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from kernel.callers import keys
from kernel.callers.audit import search
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import REASON, TARGET, By
from kernel.callers.audit.search import ActFilter
from kernel.db.tables.audit import ACTS
from kernel.delivery.redeliver import redeliver
from kernel.errors import Conflict, NotFound
from kernel.orders.cancel import cancel
from kernel.orders.pages import get_order
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order

ANN = By(Actor("ann", "cli", "host-1"), "ticket 4711")


def acts(kernel: Kernel, **wanted: Any) -> list[dict[str, Any]]:
    """Every act of a filter, the newest first."""
    with kernel.read() as connection:
        return search.find(connection, ActFilter(**wanted))


def test_cancel_is_an_act_with_what_was_before(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    began = kernel.clock.now()
    cancel(kernel, None, order_id, by=ANN)
    (act,) = acts(kernel)
    assert abs(act.pop("at") - began) < timedelta(minutes=1)
    assert act.pop("id") > 0
    assert act == {
        "actor": "ann",
        "via": "cli",
        "address": "host-1",
        "key_prefix": None,
        "verb": "order.cancel",
        "target": f"order {order_id}",
        "before": {"state": "pending"},
        "after": {"state": "cancelled", "cancel_requested": True},
        "reason": "ticket 4711",
    }


@pytest.mark.parametrize("way", ["{}", "order {}", "order:{}", "order: {}", " order {} "])
def test_act_is_found_by_what_it_changed_however_that_is_written(kernel: Kernel, way: str) -> None:
    order_id, other = make_order(kernel), make_order(kernel)
    for one in (order_id, other):
        cancel(kernel, None, one, by=ANN)
    assert [act["target"] for act in acts(kernel, target=way.format(order_id))] == [
        f"order {order_id}"
    ]


def test_no_act_is_written_when_nothing_was_changed(kernel: Kernel) -> None:
    ended = make_order(kernel, state="success")
    cancelled = make_order(kernel, state="cancelled")
    with pytest.raises(Conflict):
        cancel(kernel, None, ended, by=ANN)
    cancel(kernel, None, cancelled, by=ANN)
    with pytest.raises(NotFound):
        resume(kernel, Subject(host="in.example"), by=ANN)
    pause(kernel, Subject(host="in.example"), by=ANN)
    pause(kernel, Subject(host="in.example"), by=ANN)
    assert not redeliver(kernel, None, make_delivery(kernel, claim_token="x"), by=ANN)
    with kernel.write_session() as session:
        keys.add(session, "zammad", kernel.clock.now(), by=ANN)
        keys.revoke(session, "zammad", kernel.clock.now(), ANN)
    with kernel.write_session() as session:
        assert keys.revoke(session, "zammad", kernel.clock.now(), ANN) == 0
    verbs = [one["verb"] for one in acts(kernel)]
    assert verbs == ["key.revoke", "caller.add", "deliveries.pause"]


def test_change_is_taken_back_when_its_act_cannot_be_written(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    nameless = By(Actor("ann", None))  # type: ignore[arg-type]
    with pytest.raises(DBAPIError):
        cancel(kernel, None, order_id, by=nameless)
    with kernel.read_session() as session:
        assert get_order(session, None, order_id).state == "pending"


def test_no_secret_is_in_an_act(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        now = kernel.clock.now()
        made = [
            keys.add(session, "zammad", now, by=ANN),
            keys.add_key(session, "zammad", now, None, ANN),
            keys.rotate_key(session, "zammad", now, by=ANN),
            keys.rotate_secret(session, "zammad", now, by=ANN),
        ]
    said = str(acts(kernel))
    secrets = [one for each in made for one in (each.api_key, each.signing_secret) if one]
    assert len(secrets) == 5
    for one in secrets:
        assert one.get_secret_value()[13:] not in said
    assert said.count("kwo_") == 5  # the beginnings of three keys, and of two again when revoked


def test_hostile_text_is_stored_cut_and_in_one_line(kernel: Kernel) -> None:
    nasty = "a\0b\nc\ud800" + "😀" * 999
    with kernel.write() as connection:
        By(Actor(nasty, "api", nasty), nasty).record(connection, "order.cancel", nasty)
        By(Actor("x", "api"), " \n ").record(connection, "order.cancel", "y")
    blank, act = acts(kernel)
    assert act["target"] == ("a b c?" + "😀" * 999)[:TARGET]
    assert len(act["reason"]) == REASON
    assert blank["reason"] is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "dcba"),
        ({"actor": "ann"}, "ca"),
        ({"verb": "key"}, "ba"),
        ({"verb": "key.add"}, "a"),
        ({"verb": "ke"}, ""),
        ({"target": "caller z%"}, ""),
        ({"target": "caller z"}, "ba"),
        ({"actor": "bob", "target": "order"}, "d"),
    ],
)
def test_acts_are_found(kernel: Kernel, wanted: dict[str, str], found: str) -> None:
    ann, bob = Actor("ann", "page"), Actor("bob", "page")
    with kernel.write() as connection:
        for actor, verb, target, reason in (
            (ann, "key.add", "caller zammad", "a"),
            (bob, "key.revoke", "caller zammad", "b"),
            (ann, "order.cancel", "order 1", "c"),
            (bob, "order.cancel", "order 2", "d"),
        ):
            By(actor, reason).record(connection, verb, target)
    assert "".join(one["reason"] for one in acts(kernel, **wanted)) == found
    with kernel.read() as connection:
        streamed = search.stream(connection, ActFilter(**wanted))
        assert "".join(one["reason"] for one in streamed) == found[::-1]


def test_acts_are_found_by_time_and_page(kernel: Kernel) -> None:
    for name in "abc":
        pause(kernel, Subject(host=name), by=ANN)
    newest, middle, oldest = acts(kernel)
    assert acts(kernel, since=middle["at"], until=newest["at"]) == [middle]
    with kernel.read() as connection:
        assert search.find(connection, ActFilter(), before=newest["id"], limit=1) == [middle]
        assert search.find(connection, ActFilter(), before=middle["id"]) == [oldest]


def test_cancel_of_a_handler_is_an_act_of_kernel_itself(kernel: Kernel) -> None:
    cancel(kernel, None, make_order(kernel))
    (act,) = acts(kernel)
    assert (act["actor"], act["via"]) == ("kernel", "system")
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ACTS)) == 1
