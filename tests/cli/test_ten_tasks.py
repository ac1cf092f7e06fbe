"""Tasks of a night, by commands: each takes no more of them than it may.

The figures are those that the pages are held to; a screen that is looked at first, `kernel status`,
is not counted.
"""

import csv
import json
import shlex
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result

from kernel.cli import opening
from kernel.db.tables.operating.bulk import RERUNS
from kernel.db.tables.service import Asked
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from tests.support.factories import (
    delivery,
    make_attempt,
    make_delivery,
    make_order,
    order,
    rows,
)
from tests.support.people.steps import Steps
from tests.support.people.terminal import Terminal
from tests.support.working import HOST as HOST_OF_WORKERS
from tests.support.working import at_work, running

HOST = "receiver.example"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process listens to hints here, so no command waits for one."""
    monkeypatch.setattr(opening, "HINT_SECONDS", 0.0)


class Typist:
    """Types the commands of one task, and no more than it may take."""

    def __init__(self, terminal: Terminal, most: int) -> None:
        self.terminal, self.steps = terminal, Steps(most)

    def run(self, command: str, **options: Any) -> Result:
        """Type a command, as a shell would read it."""
        self.steps.take(command)
        return self.terminal.run(*shlex.split(command), **options)

    def json(self, command: str) -> Any:
        """Type a command with --json and return what it printed."""
        return json.loads(self.run(f"{command} --json").stdout)


@pytest.fixture
def typist(terminal: Terminal) -> Callable[[int], Typist]:
    """The person, for a task of so many commands."""
    return lambda most: Typist(terminal, most)


def died(terminal: Terminal, reference: str, minutes: float = 5.0) -> str:
    """Make an order whose callback died so long ago, of a refused connection; return its id."""
    kernel = terminal.kernel
    at = kernel.clock.now() - timedelta(minutes=minutes)
    ended = {"state": "success", "finished_at": at, "message": "success"}
    order_id = make_order(kernel, reference=reference, **ended)
    dead = {"state": "dead", "died_of": "refused", "created_at": at, "finished_at": at}
    make_attempt(kernel, make_delivery(kernel, order_id, attempt=1, **dead), at, "refused")
    return order_id


def states(terminal: Terminal, order_ids: list[str]) -> list[str]:
    """The states of the callbacks of these orders."""
    found = terminal.json("deliveries", "list", "--limit", "100")["deliveries"]
    return [one["state"] for one in found if one["order_id"] in order_ids]


def counts(groups: list[dict[str, Any]]) -> dict[str, int]:
    """Groups as `orders count` prints them, by their values."""
    return {one["value"]: one["count"] for one in groups}


def test_1_failed_callback_of_a_reference_is_explained_and_sent_again(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    order_id, person = died(terminal, "INC0012345"), typist(3)
    found = person.run("deliveries list --reference INC0012345").stdout
    assert "refused" in found
    assert "dead" in found
    (told,) = person.json(f"deliveries list --order {order_id}")["deliveries"]
    person.run(f"deliveries redeliver {told['delivery_id']}")
    assert states(terminal, [order_id]) == ["pending"]


def test_2_dead_callbacks_of_two_hours_are_replayed(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    older = died(terminal, "INC1", minutes=180)
    recent, person = [died(terminal, f"INC{n}", minutes=n) for n in range(2, 5)], typist(4)
    counted = person.run("deliveries replay --since 2h --dry-run").stdout
    assert "3 callbacks (dead) would be sent again" in counted
    person.run("deliveries replay --since 2h", stdin="y\n")
    assert states(terminal, recent) == ["pending"] * 3
    assert states(terminal, [older]) == ["dead"]


def test_3_forty_orders_that_failed_since_a_time_by_one_error_are_run_again(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    kernel, person = terminal.kernel, typist(5)
    now = kernel.clock.now()
    failed = {"state": "failed", "error_code": "ad_gone"}
    wanted = {make_order(kernel, **failed, finished_at=now) for _ in range(40)}
    make_order(kernel, **failed, created_at=now, finished_at=now - timedelta(hours=3))
    make_order(kernel, **failed | {"error_code": "other"}, finished_at=now)
    since = f"--zone UTC --ended-since {(now - timedelta(hours=1)):%H:%M}"
    counted = person.json(f"orders count --state failed {since}")
    assert counts(counted["by_error"]) == {"ad_gone": 40, "other": 1}
    again = f"bulk rerun --error ad_gone {since}"
    assert person.json(f"{again} --dry-run")["total"] == 40
    assert "done: 40 run again, 0 left" in person.run(again, stdin="y\n").stdout
    assert {one.order_id for one in rows(kernel, RERUNS)} == wanted


def test_4_leaked_key_is_replaced_and_the_callers_other_key_goes_on(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    leaked = terminal.json("callers", "add", "jira")["api_key"][:12]
    other = terminal.json("callers", "add-key", "jira")["api_key"][:12]
    person = typist(4)
    assert leaked in person.run("callers keys jira").stdout
    new = person.json(f"callers rotate-key jira --key {leaked}")["api_key"][:12]
    left = {one["key"] for one in person.json("callers keys jira")}
    assert left == {new, other}


def test_5_redis_that_is_gone_is_on_the_first_screen(terminal: Terminal) -> None:
    said = terminal.run("status", exit_code=2).stdout
    assert "The broker does not answer" in said
    assert "docs/operations.md#redis-or-rabbitmq-is-gone" in said


def test_6_tag_and_caller_with_the_longest_queue_come_first(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    late = terminal.kernel.clock.now() - timedelta(minutes=9)
    for tag in ("slow", "slow", "create_project"):
        make_order(terminal.kernel, select_tag=tag, run_after=late)
    counted = typist(1).json("orders count --state pending")
    assert list(counts(counted["by_tag"]).items()) == [("slow", 2), ("create_project", 1)]
    assert counts(counted["by_caller"]) == {"anonymous": 3}
    (first, _) = typist(1).json("trends --by tag")
    assert (first["name"], first["now"]["pending"]) == ("slow", 2)


def test_7_hanging_process_is_found_and_ended(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    kernel, person = terminal.kernel, typist(2)
    at_work(kernel)
    hanging = at_work(kernel, running(kernel, make_order(kernel, state="running"), 55))
    first, second = person.json("workers list")["processes"]
    assert [one["hangs"] for one in first["runs"]] == ["limit"]
    assert second["runs"] == []
    person.run(f"workers terminate {first['process_id']} --reason 'hangs for an hour'")
    assert beaten(kernel, hanging) is Asked.TERMINATE


def beaten(kernel: Kernel, process: Heartbeat) -> Asked | None:
    """What a process is asked, as of its next heartbeat."""
    return at_work(kernel, process=process).asked


def test_8_what_was_sent_and_who_cancelled_is_found_and_exported(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    sent = died(terminal, "INC7")
    cancelled = make_order(terminal.kernel, reference="INC7")
    terminal.run("orders", "cancel", cancelled, "--reason", "CHG42")
    person = typist(4)
    found = person.json("orders list --reference INC7")["orders"]
    assert {one["order_id"] for one in found} == {sent, cancelled}
    lines = person.run("deliveries export --reference INC7").stdout.splitlines()
    (told,) = [one for one in csv.DictReader(lines) if one["order_id"] == sent]
    assert (told["state"], told["attempts"], told["last_reason"]) == ("dead", "1", "refused")
    assert told["finished_at"]
    acts = person.run(f"audit export --verb order.cancel --target 'order {cancelled}'").stdout
    (act,) = map(json.loads, acts.splitlines())
    assert (act["verb"], act["reason"]) == ("order.cancel", "CHG42")
    assert act["actor"]


def test_9_host_of_a_receiver_is_drained(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    owed = make_delivery(terminal.kernel)
    person = typist(2)
    person.run(f"deliveries pause --host {HOST} --reason maintenance")
    assert HOST in person.run("deliveries pauses").stdout
    assert delivery(terminal.kernel, owed).state == "held"
    assert order(terminal.kernel, delivery(terminal.kernel, owed).order_id).state == "success"


def test_9_host_of_workers_is_drained(terminal: Terminal, typist: Callable[[int], Typist]) -> None:
    process, person = at_work(terminal.kernel), typist(2)
    person.run(f"workers drain {HOST_OF_WORKERS} --reason CHG42")
    assert beaten(terminal.kernel, process) is Asked.DRAIN
    (seen,) = person.json("workers list")["processes"]
    assert seen["doing"] == "drained"


def test_10_one_receiver_gives_up_at_another_time(
    terminal: Terminal, typist: Callable[[int], Typist]
) -> None:
    for name in ("jira", "zammad"):
        terminal.run("receivers", "add", name, "--caller", "anonymous", "--url", f"https://{HOST}/")
    person = typist(3)
    assert "jira" in person.run("receivers list").stdout
    person.run("receivers set jira --caller anonymous --give-up 4d")
    told = {one["name"]: one["terms"] for one in person.json("receivers list")}
    assert told["jira"]["give_up"] == 4 * 86400
    assert "give_up" not in told["zammad"]
