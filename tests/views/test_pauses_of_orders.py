"""Pauses of orders and of receivers, with an end and a reason, by API and by command."""

from datetime import datetime, timedelta

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, serve
from tests.support.factories import make_order, order
from tests.support.people.dashboard import operator_key
from tests.support.people.terminal import Terminal
from tests.support.ticketing import make_receiver


def operator(kernel: Kernel) -> Client:
    """A client with an operator's key."""
    return Client(serve(kernel), operator_key(kernel, "boss"))


def test_orders_of_a_tag_are_paused_with_an_end_and_a_reason(kernel: Kernel) -> None:
    boss, order_id = operator(kernel), make_order(kernel)
    asked = {"tag": "create_project", "for": "2h"}
    answer = boss.post("/v1/pauses", json=asked, headers={"X-Reason": "CHG-4711"})
    said = answer.json["data"]
    assert (answer.status_code, said["held"], said["known"]) == (201, 1, True)
    (found,) = boss.get("/v1/pauses").json["data"]["pauses"]
    assert (found["tag"], found["by"], found["reason"]) == ("create_project", "boss", "CHG-4711")
    assert found["until"] == said["until"]
    assert order(kernel, order_id).state == "waiting"
    answer = boss.open("DELETE", f"/v1/pauses/{found['pause_id']}")
    assert answer.json["data"] == {"released": 1}
    assert order(kernel, order_id).state == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {"caller": "anonymous", "receiver": "desk"},
        {"orders_of": "anonymous"},
        {"host": "a.example"},
    ],
)
def test_everything_that_may_be_paused_is_listed_as_it_was_given(
    kernel: Kernel, body: dict[str, str]
) -> None:
    make_receiver(kernel, "desk", "https://desk.example/")
    boss = operator(kernel)
    assert boss.post("/v1/pauses", json=body).status_code == 201
    (found,) = boss.get("/v1/pauses").json["data"]["pauses"]
    names = ("host", "caller", "receiver", "tag", "orders_of")
    assert {one: found[one] for one in names if found[one] is not None} == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"receiver": "desk"}, 422),
        ({"tag": "create_project", "caller": "anonymous"}, 422),
        ({"tag": "create_project", "for": "soon"}, 422),
        ({"tag": "create_project", "for": "9999999d"}, 422),
        ({"tag": "create_project", "for": "2h", "until": "2099-01-01T00:00:00Z"}, 422),
        ({"tag": "create_project", "until": "2099-01-01T00:00:00"}, 422),
        ({"tag": "create_project", "until": "2001-01-01T00:00:00Z"}, 422),
        ({"tag": "No tag"}, 422),
        ({"orders_of": "nobody"}, 404),
        ({"caller": "anonymous", "receiver": "nothing"}, 404),
    ],
)
def test_pause_is_refused_when_it_cannot_be(
    kernel: Kernel, body: dict[str, str], status: int
) -> None:
    boss = operator(kernel)
    assert boss.post("/v1/pauses", json=body).status_code == status
    assert boss.get("/v1/pauses").json["data"]["pauses"] == []


def test_tag_is_doubted_when_no_order_ever_had_it(terminal: Terminal) -> None:
    answer = operator(terminal.kernel).post("/v1/pauses", json={"tag": "creat_project"})
    assert answer.json["data"]["known"] is False
    done = terminal.run("orders", "pause", "--tag", "import_project")
    assert "no order ever had the tag import_project: is it spelt right?" in done.stderr


def test_command_pauses_orders_for_a_time_and_lists_them(terminal: Terminal) -> None:
    make_order(terminal.kernel)
    asked = ("orders", "pause", "--tag", "create_project", "--for", "2h", "--reason", "full")
    held = terminal.json(*asked)
    assert held["held"] == 1
    (found,) = terminal.json("orders", "pauses")
    assert (found["tag"], found["until"], found["reason"]) == (
        "create_project",
        held["until"],
        "full",
    )
    assert terminal.json("deliveries", "pauses") == []
    assert "full" in terminal.run("orders", "pauses").stdout
    assert terminal.json("orders", "resume", "--tag", "create_project")["released"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("deliveries", "pause", "--receiver", "desk"),
        ("orders", "pause"),
        ("orders", "pause", "--tag", "a", "--caller", "b"),
        ("orders", "pause", "--tag", "a", "--for", "1h", "--until", "06:00"),
        ("orders", "pause", "--tag", "a", "--for", "soon"),
    ],
)
def test_command_says_what_to_give(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run(*words, exit_code=2).stderr


def test_command_reads_a_time_of_day_as_the_next_one(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    terminal.run("orders", "pause", "--tag", "create_project", "--until", "06:00")
    (found,) = terminal.json("orders", "pauses")
    assert found["until"].endswith("T06:00:00.000000Z")
    ends = datetime.fromisoformat(found["until"])
    assert timedelta(0) < ends - terminal.kernel.clock.now() <= timedelta(days=1)
