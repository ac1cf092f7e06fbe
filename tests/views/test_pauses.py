"""Replay, pause and resume, by API and by command."""

import json
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from kernel.callers import identity, keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.credentials import check_header
from kernel.callers.profile import profiles_of
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from kernel.transport.client import Response
from tests.support.clients import Client, FakeHints, client, new_key, serve
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.paused import handlers, slot_kept
from tests.support.people.terminal import Terminal


def operator(kernel: Kernel, hints: FakeHints | None = None) -> Client:
    """A client with an operator's key."""
    new_key(kernel, "boss")
    with kernel.write_session() as session:
        terms = keys.KeyTerms(frozenset({identity.Scope.OPERATOR}))
        key = keys.add_key(session, "boss", kernel.clock.now(), terms).api_key
    return Client(serve(kernel, hints), key.get_secret_value())


def dead(kernel: Kernel, caller_id: int = 1) -> str:
    """Make a delivery that was given up."""
    now = kernel.clock.now()
    order_id = make_order(kernel, caller_id=caller_id, state="success", finished_at=now)
    return make_delivery(kernel, order_id, caller_id=caller_id, state="dead", finished_at=now)


def test_replay_counts_and_changes_nothing_when_run_dry(kernel: Kernel) -> None:
    delivery_id = dead(kernel)
    answer = operator(kernel).post(
        "/v1/deliveries/replay", json={"status": "dead", "dry_run": True}
    )
    assert (answer.status_code, answer.json["data"]) == (200, {"count": 1, "replayed": 0})
    assert delivery(kernel, delivery_id).state == "dead"


def test_replay_sends_again_when_asked(kernel: Kernel) -> None:
    delivery_id = dead(kernel)
    answer = operator(kernel).post("/v1/deliveries/replay", json={})
    assert (answer.status_code, answer.json["data"]["replayed"]) == (202, 1)
    drain(kernel)
    assert delivery(kernel, delivery_id).state == "delivered"


def test_replay_leaves_others_alone_when_a_caller_asks(kernel: Kernel) -> None:
    delivery_id = dead(kernel)
    answer = client(kernel).post("/v1/deliveries/replay", json={})
    assert answer.json["data"] == {"count": 0, "replayed": 0}
    assert delivery(kernel, delivery_id).state == "dead"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-01-01T00:00:00"}, "/since"),
        ({"stauts": "dead"}, "/stauts"),
        ({"host": "a b"}, "/host"),
    ],
)
def test_replay_is_refused_when_its_filter_is_malformed(
    kernel: Kernel, body: dict[str, str], pointer: str
) -> None:
    answer = operator(kernel).post("/v1/deliveries/replay", json=body)
    assert answer.status_code == 422
    assert answer.json["data"]["errors"][0]["pointer"] == pointer


def test_host_is_paused_and_resumed_when_an_operator_asks(kernel: Kernel) -> None:
    boss, delivery_id = operator(kernel), make_delivery(kernel)
    assert boss.post("/v1/pauses", json={"host": "receiver.example"}).json["data"]["held"] == 1
    (found,) = boss.get("/v1/pauses").json["data"]["pauses"]
    assert delivery(kernel, delivery_id).state == "held"
    answer = boss.open("DELETE", f"/v1/pauses/{found['pause_id']}")
    assert (answer.status_code, answer.json["data"]) == (200, {"released": 1})


def test_orders_that_go_on_with_slots_of_paused_ones_are_hinted(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel, hints = make_kernel(database_url, handlers), FakeHints()
    _, theirs = slot_kept(kernel)
    answer = operator(kernel, hints).post("/v1/pauses", json={"orders_of": "anonymous"})
    assert answer.json["data"]["held"] == 1
    assert hints.hinted == [theirs]


@pytest.mark.parametrize(
    "host",
    [
        "https://receiver.example:443",
        " RECEIVER.example ",
        "https://Receiver.example/",
        "receiver.example.",
    ],
)
def test_host_is_paused_however_it_is_written(kernel: Kernel, host: str) -> None:
    boss, delivery_id = operator(kernel), make_delivery(kernel)
    answer = boss.post("/v1/pauses", json={"host": host}).json["data"]
    assert (answer["held"], answer["known"]) == (1, True)
    assert delivery(kernel, delivery_id).state == "held"
    (found,) = boss.get("/v1/pauses").json["data"]["pauses"]
    assert found["host"] == answer["host"]


def test_pause_says_so_when_the_host_is_unknown(terminal: Terminal) -> None:
    asked = {"host": "reciever.example"}
    answer = operator(terminal.kernel).post("/v1/pauses", json=asked)
    expected = {"held": 0, "host": "reciever.example", "known": False, "until": None}
    assert answer.json["data"] == expected
    done = terminal.run("deliveries", "pause", "--host", "reciever.example")
    assert "is it spelt right" in done.stderr


def test_pause_is_refused_with_words_when_its_host_is_none(terminal: Terminal) -> None:
    done = terminal.run("deliveries", "pause", "--host", "https://a.example/hook", exit_code=2)
    assert "it has a path" in done.stderr
    answer = operator(terminal.kernel).post("/v1/pauses", json={"host": "https://a.example/hook"})
    assert answer.json["data"]["errors"][0]["pointer"] == "/host"


def test_replay_finds_a_host_however_it_is_written(terminal: Terminal) -> None:
    dead(terminal.kernel)
    boss = operator(terminal.kernel)
    for host in ("https://receiver.example", "Receiver.example:443", "receiver.example."):
        found = terminal.json("deliveries", "replay", "--host", host, "--dry-run")
        assert found["total"] == 1
        asked = {"host": host, "dry_run": True}
        answer = boss.post("/v1/deliveries/replay", json=asked)
        assert answer.json["data"]["count"] == 1


@pytest.mark.parametrize("body", [{}, {"host": "a", "caller": "b"}])
def test_pause_is_refused_when_it_names_neither_or_both(
    kernel: Kernel, body: dict[str, str]
) -> None:
    assert operator(kernel).post("/v1/pauses", json=body).status_code == 422


@pytest.mark.parametrize("pause_id", ["7", "x", "٣", "9" * 30])
def test_resume_is_404_when_there_is_no_such_pause(kernel: Kernel, pause_id: str) -> None:
    assert operator(kernel).open("DELETE", f"/v1/pauses/{pause_id}").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/pauses"), ("POST", "/v1/pauses")])
def test_pauses_are_forbidden_when_the_key_is_no_operators(
    kernel: Kernel, method: str, path: str
) -> None:
    assert client(kernel).open(method, path, json={"host": "a"}).status_code == 403


def test_command_replays_what_is_dead_when_it_is_not_dry(terminal: Terminal) -> None:
    delivery_id = dead(terminal.kernel)
    dry = terminal.json("deliveries", "replay", "--status", "dead", "--dry-run")
    assert dry["total"] == 1
    asked = ("deliveries", "replay", "--status", "dead", "--yes")
    assert terminal.json(*asked)["replayed"] == 1
    assert delivery(terminal.kernel, delivery_id).state == "pending"


def test_command_refuses_a_time_that_is_none(terminal: Terminal) -> None:
    done = terminal.run("deliveries", "replay", "--since", "2026-13-01", exit_code=2)
    assert "is no time" in done.stderr


def test_command_pauses_and_resumes_when_told_to(terminal: Terminal) -> None:
    make_delivery(terminal.kernel)
    assert terminal.json("deliveries", "pause", "--host", "receiver.example")["held"] == 1
    (found,) = terminal.json("deliveries", "pauses")
    assert found["host"] == "receiver.example"
    assert terminal.json("deliveries", "resume", "--host", "receiver.example")["released"] == 1


def test_header_of_a_caller_is_refused_when_it_belongs_to_a_receiver(terminal: Terminal) -> None:
    terminal.run("callers", "add", "jira")
    done = terminal.run("callers", "set", "jira", "--header", "X-Api-Key", exit_code=2)
    assert "kernel receivers add NAME --caller jira --url URL --header X-Api-Key" in done.stderr


def test_caller_is_listed_when_told_to(terminal: Terminal) -> None:
    terminal.run("callers", "add", "jira", "--listed")
    terminal.run("callers", "add", "zammad")
    terminal.run("callers", "set", "zammad", "--listed")
    terminal.run("callers", "set", "jira", "--open")
    found = {one["name"]: one["listed"] for one in terminal.json("callers", "list")}
    assert found == {"anonymous": False, "jira": False, "zammad": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"),
        ("webhook-id", "x"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "é"),
        ("X A", "x"),
        ("", "x"),
        ("X-A", ""),
    ],
)
def test_header_is_refused_when_it_could_forge_a_request(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"header|kernel itself|visible"):
        check_header(name, value)


def test_rules_are_kept_when_others_are_changed(kernel: Kernel) -> None:
    new_key(kernel, "zammad", nets=["10.0.0.0/8"], schedule=[1, 2])
    with kernel.write_session() as session:
        found = keys.change(session, "zammad", CallerRules(listed=True))
        assert json.loads(found.allow_nets) == ["10.0.0.0/8"]
        assert json.loads(found.schedule or "") == [1, 2]


def test_key_stops_when_it_expires(kernel: Kernel) -> None:
    new_key(kernel, "zammad")
    soon = kernel.clock.now()
    with kernel.write_session() as session:
        key = keys.add_key(session, "zammad", soon, keys.KeyTerms(expires_at=soon)).api_key
    assert Client(serve(kernel), key.get_secret_value()).get("/v1/orders").status_code == 401


@pytest.mark.parametrize(
    ("scope", "read", "write"),
    [("orders:read", 200, 403), ("orders:write", 403, 404), ("operator", 200, 404)],
)
def test_key_does_what_its_scope_says_when_it_has_one(
    kernel: Kernel, scope: str, read: int, write: int
) -> None:
    new_key(kernel, "zammad")
    with kernel.write_session() as session:
        terms = keys.KeyTerms(frozenset({scope}))
        key = keys.add_key(session, "zammad", kernel.clock.now(), terms).api_key
    asks = Client(serve(kernel), key.get_secret_value())
    unknown = "/v1/orders/01a1fbb0-1aff-72dd-a8c6-10c7d75700bc/cancel"
    assert (asks.get("/v1/orders").status_code, asks.post(unknown).status_code) == (read, write)


def test_operator_sees_every_callers_orders_when_listing(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    listed = operator(kernel).get("/v1/orders").json["data"]["orders"]
    assert [one["order_id"] for one in listed] == [order_id]


def test_old_secret_stops_at_once_when_rotated_without_overlap(terminal: Terminal) -> None:
    terminal.run("callers", "add", "jira")
    new = terminal.json("callers", "rotate-secret", "jira", "--overlap-hours", "0")
    with terminal.kernel.read_session() as session:
        found = identity.find(session, "jira").id
        profile = profiles_of(session.connection(), [found], terminal.kernel.clock.now())[found]
    assert profile.secrets == (SecretStr(new["signing_secret"]),)


def test_attempts_show_reason_phases_and_excerpt_when_asked_for(kernel: Kernel) -> None:
    refuses = FakeTransport([lambda sent: Response(500, {}, b"<b>no\x1b", {"dns": 1.25})])
    kernel.transport = refuses
    asks = client(kernel)
    order_id = asks.submit().json["data"]["order_id"]
    drain(kernel)
    (found,) = asks.get(f"/v1/orders/{order_id}/deliveries").json["data"]["deliveries"]
    (attempt,) = found["attempts"]
    assert (attempt["status"], attempt["reason"], attempt["excerpt"]) == (
        500,
        "http_5xx",
        "<b>no\x1b",
    )
    assert attempt["phases"] == {"dns": 1.2}
