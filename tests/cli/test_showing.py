"""`kernel orders show`: an order with all that belongs to it, and why it stands as it does."""

import json
from typing import Any

import pytest

from kernel.cli import opening
from kernel.testing import drain
from tests.support.factories import CALLBACK
from tests.support.people.terminal import Terminal


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker listens to hints here, so none is waited for."""
    monkeypatch.setattr(opening, "HINT_SECONDS", 0.0)


def submitted(terminal: Terminal, **members: Any) -> str:
    """Submit an order; return its id."""
    order = {"select_tag": "create_project", "projname": "桥", "callback_url": CALLBACK}
    stdin = json.dumps(order | members)
    return str(terminal.json("orders", "submit", "-", stdin=stdin)["order_id"])


def test_orders_show_tells_how_it_ended(terminal: Terminal) -> None:
    order_id = submitted(terminal)
    drain(terminal.kernel)
    shown = terminal.json("orders", "show", order_id)
    assert (shown["state"], shown["result"]) == ("success", {"projname": "桥"})
    (owed,) = shown["deliveries"]
    assert (owed["state"], len(owed["attempts"])) == ("delivered", 1)
    assert shown["why"].startswith("done ")
    assert owed["why"].endswith(" by attempt 1, answered 200")


def test_orders_show_says_who_cancelled_and_what_is_paused(terminal: Terminal) -> None:
    order_id = submitted(terminal)
    terminal.run("deliveries", "pause", "--host", "receiver.example", "--reason", "maintenance")
    terminal.run("orders", "cancel", order_id, "--reason", "CHG42")
    shown = terminal.json("orders", "show", order_id)
    assert shown["why"].startswith("cancelled ")
    assert shown["why"].endswith(": CHG42")
    assert shown["deliveries"][0]["why"].endswith(": maintenance")
    said = terminal.run("orders", "show", order_id).stdout
    assert "order.cancel" in said
    assert "held: receiver.example was paused" in said


def test_orders_show_lets_nobody_steer_the_terminal(terminal: Terminal) -> None:
    order_id = submitted(terminal, prodesc="\x1b[2J\n")
    shown = terminal.run("orders", "show", order_id).stdout
    assert "\x1b" not in shown
    assert "桥" in shown


def test_orders_show_fails_when_there_is_no_such_order(terminal: Terminal) -> None:
    assert "there is no order x" in terminal.run("orders", "show", "x", exit_code=1).stderr


def test_deliveries_show_tells_why_and_what_was_sent(terminal: Terminal) -> None:
    order_id = submitted(terminal)
    drain(terminal.kernel)
    (owed,) = terminal.json("orders", "show", order_id)["deliveries"]
    shown = terminal.json("deliveries", "show", owed["delivery_id"])
    assert shown["why"] == owed["why"]
    sent = shown["attempts"][0]["sent"]
    assert (sent["method"], sent["url"]) == ("POST", CALLBACK)
    assert json.loads(sent["body"])["data"]["order_id"] == order_id
    said = terminal.run("deliveries", "show", owed["delivery_id"]).stdout
    assert "webhook-timestamp" in said
