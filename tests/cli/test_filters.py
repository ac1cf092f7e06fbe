"""`kernel orders` and `kernel deliveries`: the same filters as the pages, counts, files."""

import csv
import io
import json
from pathlib import Path

import pytest

from kernel.cli import filter_options
from kernel.cli.filter_options import system_zone
from tests.support.factories import make_delivery, make_order
from tests.support.people.terminal import Terminal


@pytest.fixture
def failed(terminal: Terminal) -> str:
    """One failed order with a dead callback, among others."""
    kernel = terminal.kernel
    now = kernel.clock.now()
    for _ in range(3):
        make_order(kernel)
    bad = {"state": "failed", "error_code": "timed_out", "reference": "INC1"}
    order_id = make_order(kernel, **bad, finished_at=now)
    make_delivery(kernel, order_id, state="dead", died_of="deadline", finished_at=now)
    return order_id


@pytest.mark.parametrize(
    "options",
    [
        ["--error", "timed_out"],
        ["--callback", "dead", "--since", "1h"],
        ["--reference-prefix", "IN", "--host", "receiver.example"],
        ["--text", "INC1"],
        ["--ended-since", "1h", "--zone", "Asia/Shanghai", "--state", "failed"],
    ],
)
def test_orders_are_listed_counted_and_exported_by_the_same_options(
    terminal: Terminal, failed: str, options: list[str]
) -> None:
    found = terminal.json("orders", "list", *options)["orders"]
    assert [(one["order_id"], one["callback"]) for one in found] == [(failed, "dead")]
    assert terminal.json("orders", "count", *options)["total"] == 1
    file = terminal.run("orders", "export", *options, "--format", "json").stdout
    assert [one["order_id"] for one in json.loads(file)] == [failed]


@pytest.mark.parametrize(
    "options", [["--state", "dead"], ["--error", "timed_out"], ["--reference", "INC1"]]
)
def test_callbacks_are_listed_counted_and_exported_by_the_same_options(
    terminal: Terminal, failed: str, options: list[str]
) -> None:
    found = terminal.json("deliveries", "list", *options)["deliveries"]
    assert [one["order_id"] for one in found] == [failed]
    assert terminal.json("deliveries", "count", *options)["by_error"] == [
        {"value": "deadline", "count": 1}
    ]
    file = terminal.run("deliveries", "export", *options).stdout
    (row,) = csv.DictReader(io.StringIO(file))
    assert (row["order_id"], row["reference"]) == (failed, "INC1")


def test_counts_are_shown_as_tables(terminal: Terminal, failed: str) -> None:
    lines = terminal.run("orders", "count").stdout.splitlines()
    assert lines[0] == "4"
    assert ["timed_out", "1"] in [line.split() for line in lines]


def test_list_goes_on_where_the_last_page_ended(terminal: Terminal, failed: str) -> None:
    first = terminal.json("orders", "list", "--host", "receiver.example", "--limit", "2")
    more = ("--host", "receiver.example", "--before", first["next_cursor"])
    rest = terminal.json("orders", "list", *more)
    ids = [one["order_id"] for one in first["orders"] + rest["orders"]]
    assert (len(ids), len(set(ids)), rest["next_cursor"]) == (4, 4, None)


def test_wrong_options_are_named_with_what_to_write(terminal: Terminal, failed: str) -> None:
    wrong = ("--since", "yesteryear", "--caller", "anonymus", "--reference-prefix", " x")
    said = terminal.run("orders", "list", *wrong, exit_code=2).stderr
    assert "--since: 'yesteryear' is no time: write 14:00, 2h" in said
    assert "did you mean anonymous?" in said
    empty = terminal.run("orders", "list", "--error", "odd").stdout
    assert empty == "no matching orders\n"


def test_zone_is_the_shells_or_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", ":Asia/Shanghai")
    assert str(system_zone()) == "Asia/Shanghai"
    for text in ("CET-1CEST", "Mars/Olympus", "../etc"):
        monkeypatch.setenv("TZ", text)
        assert system_zone() is not None
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(filter_options, "SYSTEM_ZONE", str(tmp_path / "none"))
    assert system_zone() is not None


@pytest.mark.parametrize(
    "asked",
    ["deliveries list --before abc", "orders list --before abc", "errors list --cursor abc"],
)
def test_page_is_refused_when_its_cursor_is_none(terminal: Terminal, asked: str) -> None:
    assert "next_cursor" in terminal.run(*asked.split(), exit_code=2).stderr
