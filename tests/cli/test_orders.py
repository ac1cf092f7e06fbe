"""`kernel orders`, `deliveries` and `sweep`."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel.cli import opening
from kernel.testing import drain
from kernel.worker.broker import Broker
from kernel.worker.maintenance.prune import PRUNE
from tests.support.factories import CALLBACK, make_delivery, make_order, order
from tests.support.people.terminal import Terminal
from tests.support.servers import Redis
from tests.support.ticketing import make_receiver

ORDER = {
    "select_tag": "create_project",
    "projname": "桥",
    "callback_url": "https://receiver.example/callback",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens to hints here, so nobody waits for it."""
    monkeypatch.setattr(opening, "HINT_SECONDS", 0.0)


def submitted(terminal: Terminal, *options: str, **members: Any) -> dict[str, Any]:
    """Submit an order through standard input; what was printed."""
    stdin = json.dumps(ORDER | members)
    shown: dict[str, Any] = terminal.json("orders", "submit", "-", *options, stdin=stdin)
    return shown


def test_orders_submit_takes_a_file(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    shown = terminal.json("orders", "submit", str(tmp_path / "order.json"))
    assert (shown["state"], shown["args"]) == ("pending", {"projname": "桥"})


def test_orders_submit_takes_options(terminal: Terminal) -> None:
    options = ["--tag=import_projects", "--callback-url=https://receiver.example/"]
    options += ["--arg", 'projects:=[{"projname": "a=b"}]']
    shown = terminal.json("orders", "submit", *options)
    assert shown["args"] == {"projects": [{"projname": "a=b"}]}


def test_orders_submit_makes_an_order_without_a_callback(terminal: Terminal) -> None:
    options = ["--tag=create_project", "--no-callback", "--arg=projname=x"]
    shown = terminal.json("orders", "submit", *options)
    assert (shown["state"], shown["callback_url"]) == ("pending", None)


@pytest.mark.parametrize(
    "options",
    [
        *([], ["-", "--tag=create_project"], ["-", "--no-callback"]),
        ["--tag=create_project", "--no-callback", "--callback-url=https://receiver.example/"],
        *(["--arg=projname"], ["--arg==x"], ["--arg", "projname:=x"]),
    ],
)
def test_orders_submit_shows_the_usage_when_options_are_wrong(
    terminal: Terminal, options: list[str]
) -> None:
    assert "Usage" in terminal.run("orders", "submit", *options, exit_code=2).stderr


def test_orders_submit_lists_every_mistake_in_one_line(terminal: Terminal) -> None:
    stdin = json.dumps({"select_tag": "create_project", "callback_url": "http://127.0.0.1/"})
    done = terminal.run("orders", "submit", "-", stdin=stdin, exit_code=1)
    line = done.stderr.splitlines()[-1]
    assert "/projname: Field required" in line
    assert "/callback_url: the address is not public (loopback)" in line


def test_orders_submit_refuses_what_is_not_strict_json(terminal: Terminal) -> None:
    done = terminal.run("orders", "submit", "-", stdin='{"a": 1, "a": 2}', exit_code=1)
    assert "stands twice" in done.stderr


def test_orders_submit_grants_what_the_caller_was_granted(terminal: Terminal) -> None:
    terminal.run("callers", "add", "jira", "--callback-net", "127.0.0.1/32")
    shown = submitted(terminal, "--caller=jira", callback_url="http://127.0.0.1:8080/")
    assert [one["order_id"] for one in listed(terminal, "--caller=jira")] == [shown["order_id"]]


def test_orders_submit_returns_the_first_order_when_repeated(terminal: Terminal) -> None:
    first, second = (submitted(terminal, "--idempotency-key=k") for _ in range(2))
    assert first["order_id"] == second["order_id"]


def test_orders_submit_hints_the_broker(
    terminal: Terminal, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "HINT_SECONDS", 5.0)
    redis.client(1).flushdb()
    terminal.settings["broker_url"] = redis.url(1)
    submitted(terminal)
    assert Broker(terminal.kernel).backlog() == 1


def test_orders_submit_says_that_the_broker_is_away(terminal: Terminal) -> None:
    done = terminal.run("orders", "submit", "-", stdin=json.dumps(ORDER))
    assert done.stderr == "the broker does not answer; the next sweep makes up for it\n"


@pytest.mark.parametrize(
    ("projname", "state", "exit_code"), [("x", "success", 0), (" ", "failed", 1)]
)
def test_orders_submit_waits_for_the_end_when_told_to(
    terminal: Terminal, projname: str, state: str, exit_code: int
) -> None:
    submitted(terminal, "--idempotency-key=k", projname=projname)
    drain(terminal.kernel)
    options = ["-", "--wait", "--idempotency-key=k"]
    stdin = json.dumps(ORDER | {"projname": projname})
    shown = terminal.json("orders", "submit", *options, stdin=stdin, exit_code=exit_code)
    assert shown["state"] == state


def listed(terminal: Terminal, *options: str) -> list[dict[str, Any]]:
    """What `orders list` lists."""
    found: list[dict[str, Any]] = terminal.json("orders", "list", *options)["orders"]
    return found


def test_orders_list_filters(terminal: Terminal) -> None:
    wanted = make_order(terminal.kernel, select_tag="import_projects")
    make_order(terminal.kernel)
    make_order(terminal.kernel, select_tag="import_projects", state="running")
    found = listed(terminal, "--tag=import_projects", "--state=pending")
    assert [one["order_id"] for one in found] == [wanted]


def test_orders_list_goes_on_where_the_page_before_ended(terminal: Terminal) -> None:
    ids = sorted((make_order(terminal.kernel) for _ in range(3)), reverse=True)
    page = terminal.json("orders", "list", "--limit=2")
    assert [one["order_id"] for one in page["orders"]] == ids[:2]
    assert [one["order_id"] for one in listed(terminal, "--before", page["next_cursor"])] == ids[2:]


def test_orders_list_prints_progress_for_people(terminal: Terminal) -> None:
    make_order(terminal.kernel, state="running", progress_current=3, progress_total=9)
    assert "3 of 9" in terminal.run("orders", "list").stdout


def test_orders_cancel_ends_a_pending_order(terminal: Terminal) -> None:
    order_id = make_order(terminal.kernel)
    assert terminal.json("orders", "cancel", order_id)["state"] == "cancelled"
    assert order(terminal.kernel, order_id).state == "cancelled"


def test_orders_cancel_asks_a_running_order(terminal: Terminal) -> None:
    order_id = make_order(terminal.kernel, state="running")
    assert "next checkpoint" in terminal.run("orders", "cancel", order_id).stdout


def test_orders_cancel_fails_when_the_order_has_ended(terminal: Terminal) -> None:
    order_id = submitted(terminal)["order_id"]
    drain(terminal.kernel)
    done = terminal.run("orders", "cancel", order_id, exit_code=1)
    assert done.stderr == "Error: the order has ended: success\n"


def test_deliveries_list_filters(terminal: Terminal) -> None:
    wanted = make_delivery(terminal.kernel, state="dead", died_of="deadline")
    make_delivery(terminal.kernel)
    found = terminal.json("deliveries", "list", "--state=dead")["deliveries"]
    assert [one["delivery_id"] for one in found] == [wanted]
    assert (
        terminal.json("deliveries", "list", "--order", found[0]["order_id"])["deliveries"] == found
    )
    assert "deadline" in terminal.run("deliveries", "list").stdout
    assert "deadline" in terminal.run("deliveries", "show", wanted).stdout


def test_deliveries_show_has_body_and_attempts(terminal: Terminal) -> None:
    delivery_id = make_delivery(terminal.kernel)
    drain(terminal.kernel)
    shown = terminal.json("deliveries", "show", delivery_id)
    assert (shown["body"], [one["status"] for one in shown["attempts"]]) == ('{"status":0}', [200])
    assert "200" in terminal.run("deliveries", "show", delivery_id).stdout


def test_deliveries_redeliver_sends_it_again(terminal: Terminal) -> None:
    delivery_id = make_delivery(terminal.kernel)
    drain(terminal.kernel)
    assert terminal.json("deliveries", "redeliver", delivery_id)["redelivered"]
    drain(terminal.kernel)
    assert terminal.json("deliveries", "show", delivery_id)["attempts"][1]["status"] == 200


def test_deliveries_redeliver_takes_the_current_shape_when_asked_for(terminal: Terminal) -> None:
    delivery_id = make_delivery(terminal.kernel, body=b'{"data":{}}')
    drain(terminal.kernel)
    make_receiver(terminal.kernel, "own", CALLBACK, shape={"method": "PATCH"})
    for option, method in ([], "POST"), (["--with-current-shape"], "PATCH"):
        assert terminal.json("deliveries", "redeliver", delivery_id, *option)["redelivered"]
        drain(terminal.kernel)
        assert terminal.kernel.transport.sent[-1].method == method


def test_sweep_hints_what_is_due(
    terminal: Terminal, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "HINT_SECONDS", 5.0)
    redis.client(1).flushdb()
    terminal.settings["broker_url"] = redis.url(1)
    make_order(terminal.kernel)
    assert terminal.json("sweep")["hinted"] == 1
    assert Broker(terminal.kernel).backlog() == 1


def test_sweep_rescues_when_told_to_only(terminal: Terminal) -> None:
    long_ago = terminal.kernel.clock.now() - timedelta(hours=1)
    order_id = make_order(terminal.kernel, state="running", lease_until=long_ago)
    assert terminal.json("sweep")["rescued"] == 0
    assert terminal.json("sweep", "--rescue")["rescued"] == 1
    assert order(terminal.kernel, order_id).state == "pending"


def test_sweep_prunes_everything_that_is_old(terminal: Terminal) -> None:
    terminal.settings["retention_days"] = "5"
    long_ago = terminal.kernel.clock.now() - timedelta(days=40)
    for _ in range(PRUNE + 1):
        make_order(terminal.kernel, state="success", finished_at=long_ago)
    assert terminal.json("sweep")["pruned"] == PRUNE + 1


def test_orders_find_shows_orders_by_reference_and_by_its_beginning(terminal: Terminal) -> None:
    first = submitted(terminal, reference="INC0012345")
    other = submitted(terminal, "--reference=INC0012346")
    assert (first["reference"], other["reference"]) == ("INC0012345", "INC0012346")

    def found(reference: str) -> list[str]:
        shown = terminal.json("orders", "find", reference)
        return [one["order_id"] for one in shown["orders"]]

    assert found("INC0012345") == [first["order_id"]]
    assert found("INC00") == [other["order_id"], first["order_id"]]
    assert terminal.run("orders", "find", "INC7", exit_code=1).stdout == "no matching orders\n"
    for unset in ("", " "):
        assert "says nothing" in terminal.run("orders", "find", unset, exit_code=2).stderr


def test_orders_list_has_a_first_column_of_references_when_there_are_any(
    terminal: Terminal,
) -> None:
    submitted(terminal)
    assert terminal.run("orders", "list").stdout.startswith("order_id")
    submitted(terminal, reference="INC1")
    lines = terminal.run("orders", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["reference", "INC1", "-"]
    assert len(terminal.json("orders", "list", "--reference=INC1")["orders"]) == 1


def test_orders_erase_counts_asks_and_erases(terminal: Terminal) -> None:
    ended = submitted(terminal, "--reference=T-1")["order_id"]
    drain(terminal.kernel)
    named = ("orders", "erase", "--reference=T-1", "--reason=request 7")
    refused = terminal.run(*named, stdin="n\n", exit_code=1)
    assert "1 orders to erase, 0 live ones are left (request 7)" in refused.stderr
    assert terminal.json("orders", "show", ended)["args"] == {"projname": "桥"}
    assert terminal.json(*named, "--yes") == {"erased": 1, "live": 0}
    shown = terminal.json("orders", "show", ended)
    assert (shown["args"], shown["result"], shown["state"]) == ({}, {}, "success")
    assert terminal.json(*named, "--yes") == {"erased": 0, "live": 0}


def test_orders_erase_leaves_what_is_live(terminal: Terminal) -> None:
    live = submitted(terminal)["order_id"]
    options = (f"--order={live}", "--reason=x", "--yes")
    assert "1 live" in terminal.run("orders", "erase", *options, exit_code=1).stderr
    assert terminal.json("orders", "show", live)["args"] == {"projname": "桥"}


def test_orders_erase_has_to_be_told_whose(terminal: Terminal) -> None:
    assert "Usage" in terminal.run("orders", "erase", "--reason=x", exit_code=2).stderr
