"""Every command that changes something writes an act; which commands there are, click says."""

import json
import platform
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
from sqlalchemy import delete, select, update

from kernel.callers import keys, receiver_changes
from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import open_session
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.cli.acting import account
from kernel.cli.main import main
from kernel.db.tables.audit import ACTS
from kernel.db.tables.callers import ApiKey, Caller
from kernel.db.tables.people import SESSIONS
from kernel.db.tables.receivers import RECEIVERS
from kernel.insight.workers.asking import drain
from kernel.orders.gates.limits.changes import Change, set_limit
from kernel.pauses.adoption import ground_of
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.schedules.changes import add as add_schedule
from kernel.schedules.changes import pause as pause_schedule
from kernel.schedules.definition import Definition
from tests.support.bulk import begun as begun_act
from tests.support.commands import NO_ACTS
from tests.support.factories import CALLBACK, make_delivery, make_order, make_step
from tests.support.people.terminal import Terminal
from tests.support.told import error, notice
from tests.support.working import HOST, at_work

URL = "https://tickets.example/"


def receiver(kernel: Kernel, *, draft: bool = False) -> None:
    with kernel.write_session() as session:
        patch = ReceiverPatch(url=URL)
        receiver_changes.add(session, "zammad", "desk", patch, ground_of(kernel))
        session.execute(update(RECEIVERS).values(is_draft=draft))


def prefix(kernel: Kernel) -> str:
    with kernel.read_session() as session:
        return session.scalars(select(ApiKey.prefix)).one()


def person(kernel: Kernel) -> str:
    with kernel.write_session() as session:
        people.add_person(session, "Ada", Role.VIEWER, kernel.clock.now())
    return "Ada"


def begun(kernel: Kernel) -> str:
    """A session of a person."""
    name, now = person(kernel), kernel.clock.now()
    with kernel.write_session() as session:
        given = {"person_id": people.find_person(session, name).id, "key_id": None, "now": now}
        open_session(session, address="", agent="", **given)  # type: ignore[arg-type]
        return str(session.scalars(select(SESSIONS.c.id)).one())


def schedule(kernel: Kernel) -> None:
    made = Definition("zammad", "0 2 * * *", "UTC", "create_project", {"projname": "x"})
    add_schedule(kernel, "nightly", made)


def limited(kernel: Kernel) -> list[str]:
    set_limit(kernel, "create_project", Change(concurrency=1))
    return ["create_project"]


def dead(kernel: Kernel) -> str:
    return make_delivery(kernel, make_order(kernel, state="success"), state="dead")


def stepped(kernel: Kernel) -> str:
    order_id = make_order(kernel)
    make_step(kernel, order_id, 1, "vm")
    return order_id


# What to type for each command, after making what it needs.
COMMANDS: dict[str, Callable[[Kernel], list[str] | None]] = {
    "bulk abort": lambda k: [begun_act(k, "rerun")],
    "bulk cancel": lambda k: [["--yes", "--detach"], make_order(k)][0],
    "bulk drop": lambda k: [["--yes", "--detach"], make_delivery(k)][0],
    "bulk redeliver": lambda k: [["--yes", "--detach"], dead(k)][0],
    "bulk rerun": lambda k: [["--yes", "--detach"], make_order(k, state="failed")][0],
    "callers add": lambda k: ["new"],
    "callers add-key": lambda k: ["zammad"],
    "callers revoke-key": lambda k: [prefix(k)],
    "callers revoke": lambda k: ["zammad"],
    "callers rotate-key": lambda k: ["zammad"],
    "callers rotate-secret": lambda k: ["zammad"],
    "callers set": lambda k: ["zammad", "--listed"],
    "deliveries pause": lambda k: ["--host", "in.example"],
    "deliveries resume": lambda k: [["--host", "in.example"], pause(k, Subject(host="in.example"))][
        0
    ],
    "deliveries redeliver": lambda k: [dead(k)],
    "deliveries replay": lambda k: [["--yes", "--detach"], dead(k)][0],
    "errors reopen": lambda k: [error(k, resolved=True)["fingerprint"]],
    "errors resolve": lambda k: [error(k)["fingerprint"]],
    "limits clear": limited,
    "limits set": lambda k: ["create_project", "--concurrency", "2", "--rate", "30/m"],
    "orders cancel": lambda k: [make_order(k)],
    "orders erase": lambda k: [
        *("--yes", "--order", make_order(k, state="success", finished_at=k.clock.now()))
    ],
    "orders rerun": lambda k: [stepped(k), "--from", "vm"],
    "orders tell": lambda k: [make_order(k), "approved"],
    "orders submit": lambda k: [
        *("--tag", "create_project", "--callback-url", CALLBACK, "--arg", "projname=x")
    ],
    "people add": lambda k: ["Bob", "--role", "viewer"],
    "people remove": lambda k: [person(k)],
    "people sessions": lambda k: ["--end", begun(k)],
    "people set": lambda k: [person(k), "--role", "admin"],
    "receivers add": lambda k: ["desk", "--caller", "zammad", "--url", URL],
    "receivers adopt": lambda k: receiver(k, draft=True) or ["zammad"],
    "receivers remove": lambda k: receiver(k) or ["desk"],
    "receivers set": lambda k: receiver(k) or ["desk", "--timeout", "7s"],
    "receivers test": lambda k: receiver(k) or ["desk", "--yes"],
    "notify add": lambda _: ["night", "--receiver", "chat"],
    "notify remove": lambda k: [notice(k)["name"]],
    "notify test": lambda k: [notice(k)["name"]],
    "schedules add": lambda k: [
        *("nightly", "--caller", "zammad", "--cron", "0 2 * * *", "--tag", "create_project"),
        *("--callback-url", "none", "--args", '{"projname": "x"}'),
    ],
    "orders pause": lambda k: ["--tag", "create_project"],
    "orders resume": lambda k: [
        ["--tag", "create_project"],
        pause(k, Subject(tag="create_project")),
    ][0],
    "schedules pause": lambda k: schedule(k) or ["nightly"],
    "schedules remove": lambda k: schedule(k) or ["nightly"],
    "schedules resume": lambda k: schedule(k) or (pause_schedule(k, "nightly") and ["nightly"]),
    "schedules run-now": lambda k: schedule(k) or ["nightly"],
    "schedules set": lambda k: schedule(k) or ["nightly", "--cron", "0 3 * * *"],
    "workers drain": lambda _: [HOST],
    "workers resume": lambda k: [[HOST], drain(k, HOST)][0],
    "workers terminate": lambda k: [at_work(k).id],
    "secrets rotate": lambda k: ["--to-clear"],
}


def commands(group: click.Group, name: str = "") -> Iterator[str]:
    """Every command below a group, by its words."""
    context = click.Context(group)
    for one in group.list_commands(context):
        found, words = group.get_command(context, one), f"{name} {one}".strip()
        if isinstance(found, click.Group):
            yield from commands(found, words)
        else:
            yield words


def test_every_command_is_known_here() -> None:
    assert set(commands(main)) == COMMANDS.keys() | NO_ACTS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_writes_an_act(terminal: Terminal, command: str) -> None:
    """With a reason of which a byte is no UTF-8, as a terminal hands it over."""
    kernel = terminal.kernel
    with kernel.write_session() as session:
        keys.add(session, "zammad", kernel.clock.now())
    typed = COMMANDS[command](kernel)
    assert typed is not None
    with kernel.write() as connection:
        connection.execute(delete(ACTS))
    # Nothing answers at the receiver: the attempt fails, and was made all the same.
    exit_code = 1 if command == "receivers test" else 0
    terminal.run(*command.split(), *typed, "--reason", "CHG-4711 \udce9", exit_code=exit_code)
    with kernel.read() as connection:
        (act,) = search.find(connection, ActFilter())
    expected = (account(), "cli", platform.node(), None, "CHG-4711 ?")
    found = tuple(act[one] for one in ("actor", "via", "address", "key_prefix", "reason"))
    assert found == expected
    assert act["verb"].partition(".")[0].rstrip("s") in {
        *("caller", "key", "secret", "delivery", "deliverie", "order", "receiver"),
        *("person", "schedule", "session", "limit", "bulk", "notice", "worker", "error"),
    }


@pytest.mark.parametrize(
    ("typed", "verbs"),
    [
        (["--disable"], ["person.disable"]),
        (["--new-key"], ["key.rotate"]),
        (["--role", "admin", "--new-key"], ["key.rotate", "person.set"]),
        (["--role", "viewer"], []),
        (["--enable"], []),
    ],
)
def test_each_change_of_a_person_is_an_act_and_what_changes_nothing_is_none(
    terminal: Terminal, typed: list[str], verbs: list[str]
) -> None:
    name = person(terminal.kernel)
    before = len(acts(terminal))
    said = terminal.json("people", "set", name, *typed)
    found = acts(terminal)
    assert [one["verb"] for one in found[: len(found) - before]] == verbs
    assert {one["target"] for one in found} == {"person Ada"}
    assert said.get("api_key", "no key handed out")[13:] not in str(found)


def test_replaced_key_says_until_when_the_old_one_works(terminal: Terminal) -> None:
    terminal.run("callers", "add", "zammad")
    old = prefix(terminal.kernel)
    limits = ["--tag", "create_project", "--network", "192.0.2.0/24"]
    terminal.run("callers", "add-key", "zammad", *limits)
    (added,) = acts(terminal, "--verb", "key.add")
    assert added["after"]["tags"] == ["create_project"]
    assert added["after"]["networks"] == ["192.0.2.0/24"]
    terminal.run("callers", "rotate-key", "zammad", "--key", old, "--overlap-hours", "24")
    (act,) = acts(terminal, "--verb", "key.rotate")
    assert act["before"]["keys"] == [old]
    assert act["before"]["work_until"] is not None
    assert act["after"]["prefix"].startswith("kwo_")
    assert act["after"]["prefix"] != old


def test_account_names_who_was_there_before_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    name = account()
    monkeypatch.setenv("SUDO_USER", "ann")
    assert account() == f"ann as {name}"
    monkeypatch.setenv("SUDO_USER", name)
    assert account() == name


def test_reason_that_is_too_long_changes_nothing(terminal: Terminal) -> None:
    order_id = make_order(terminal.kernel)
    done = terminal.run("orders", "cancel", order_id, "--reason", "x" * 501, exit_code=2)
    assert "at most 500 characters" in done.stderr
    assert acts(terminal) == []


def test_erasing_a_callers_orders_names_the_caller(terminal: Terminal) -> None:
    terminal.run("callers", "add", "zammad")
    with terminal.kernel.read_session() as session:
        caller_id = session.scalars(select(Caller.id).where(Caller.name == "zammad")).one()
    ended = {"state": "success", "finished_at": terminal.kernel.clock.now()}
    make_order(terminal.kernel, caller_id=caller_id, **ended)
    terminal.run("orders", "erase", "--caller", "zammad", "--reason", "request 7", "--yes")
    (act,) = acts(terminal, "--verb", "orders")
    assert act["target"] == "caller zammad"


def acts(terminal: Terminal, *options: str) -> Any:
    return terminal.json("audit", "list", *options)["acts"]


def test_acts_are_listed_exported_and_verified(terminal: Terminal) -> None:
    terminal.run("callers", "add", "zammad", "--reason", "new desk 桥")
    terminal.run("deliveries", "pause", "--host", "in.example")
    assert [one["verb"] for one in acts(terminal)] == ["deliveries.pause", "caller.add"]
    (act,) = acts(terminal, "--verb", "caller")
    assert (act["target"], act["reason"]) == ("caller zammad", "new desk 桥")
    assert acts(terminal, "--actor", "ann") == []
    assert "caller zammad" in terminal.run("audit", "list").stdout
    lines = terminal.run("audit", "export").stdout.splitlines()
    assert [json.loads(line)["verb"] for line in lines] == ["caller.add", "deliveries.pause"]
    assert len(acts(terminal, "--since", "2h")) == 2
    assert acts(terminal, "--until", "1h") == acts(terminal, "--since", "2h", "--until", "1h") == []
    for wrong in ("soon", "", "0001-01-01T00:00:00+14:00"):
        refused = terminal.run("audit", "export", "--since", wrong, exit_code=2)
        assert f"--since: {wrong!r} is no time: write 14:00, 2h" in refused.stderr
    assert terminal.run("audit", "list", "--refused").stdout == "no key was refused\n"
    assert terminal.json("audit", "verify")["waiting"] == 2


def test_verify_fails_when_an_act_was_altered(terminal: Terminal) -> None:
    kernel = terminal.kernel
    terminal.run("callers", "add", "zammad")
    with kernel.write() as connection:  # so it is older than a minute
        connection.execute(update(ACTS).values(at=kernel.clock.now().replace(year=2025)))
    terminal.run("sweep")
    found = terminal.json("audit", "verify")
    assert (found["sealed"], found["problems"]) == (1, [])
    newest = found["newest_seal"]
    terminal.run("audit", "verify", "--expect", newest)
    terminal.run("audit", "verify", "--expect", newest[:-1] + "x", exit_code=1)
    terminal.run("audit", "verify", "--expect", "nonsense", exit_code=2)
    with kernel.write() as connection:
        connection.execute(update(ACTS).values(actor="bob"))
    done = terminal.run("audit", "verify", exit_code=1)
    assert "was altered (seal 1)" in done.stderr
