"""`kernel copy`: what it refuses, and what it says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

from kernel.db.schema import migrate
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.service import SelectTag, Worker
from kernel.insight.workers import Heartbeat
from kernel.testing import drain
from tests.support.factories import make_delivery, make_order
from tests.support.people.terminal import Terminal


@pytest.fixture
def target(tmp_path: Path) -> str:
    """URL of a database in a folder that does not exist yet."""
    return f"sqlite:///{tmp_path}/there/kernel.db"


@pytest.fixture
def other(target: str) -> Iterator[Terminal]:
    """The command line on the target."""
    terminal = Terminal(target)
    yield terminal
    terminal.close()


def note_worker(terminal: Terminal, silent: int = 0) -> None:
    """Have a worker's heartbeat in the database, so many seconds old."""
    kernel = terminal.kernel
    with kernel.write_session() as session:
        Heartbeat("worker", kernel.clock.now(), "w1").note(session, kernel.clock.sql(), (), ())
        seen = kernel.clock.sql(-timedelta(seconds=silent))
        session.execute(update(Worker).values(seen_at=seen))


def test_orders_go_on_at_the_target_when_they_were_pending(
    terminal: Terminal, other: Terminal, target: str
) -> None:
    make_order(terminal.kernel, state="success", finished_at=terminal.kernel.clock.now())
    pending = make_order(terminal.kernel)
    done = terminal.run("copy", "--to", target)
    assert f"Set KERNEL_DATABASE_URL to {target} everywhere" in done.stdout
    assert "kernel_orders                   2 rows  sha256 " in done.stdout
    assert "kernel_orders: 2 of 2 rows" in done.stderr
    drain(other.kernel)
    assert other.json("orders", "show", pending)["state"] == "success"


def test_url_is_read_from_stdin_when_it_is_a_dash(terminal: Terminal, target: str) -> None:
    assert target in terminal.run("copy", "--to", "-", stdin=f"{target}\n").stdout


def test_difference_is_named_when_the_databases_are_only_compared(
    terminal: Terminal, target: str
) -> None:
    terminal.run("copy", "--to", target)
    assert "0 rows copied" in terminal.run("copy", "--to", target, "--check").stdout
    order_id = make_order(terminal.kernel)
    done = terminal.run("copy", "--to", target, "--check", exit_code=1)
    assert done.stderr.endswith(f"Error: kernel_orders id={order_id} is missing at the target\n")


def test_copy_is_refused_while_a_worker_lives(terminal: Terminal, target: str) -> None:
    note_worker(terminal)
    assert "not at rest. worker " in terminal.run("copy", "--to", target, exit_code=1).stderr
    assert migrate.current(target) is None
    note_worker(terminal, silent=3600)
    terminal.run("copy", "--to", target)


def test_copy_is_refused_while_an_order_runs(terminal: Terminal, target: str) -> None:
    make_order(terminal.kernel, state="running")
    refused = terminal.run("copy", "--to", target, exit_code=1).stderr
    assert "1 orders run" in refused
    assert "kernel sweep --rescue" in refused


def test_copy_is_refused_while_a_callback_is_claimed(terminal: Terminal, target: str) -> None:
    kernel = terminal.kernel
    claim = {"claim_token": "w1", "is_retry": True}
    soon = kernel.clock.now() + timedelta(seconds=20)
    make_delivery(kernel, next_attempt_at=soon, **claim)
    assert "1 callbacks are claimed" in terminal.run("copy", "--to", target, exit_code=1).stderr
    with kernel.write_session() as session:
        session.execute(update(Delivery).values(next_attempt_at=kernel.clock.sql()))
    terminal.run("copy", "--to", target)


def test_copy_is_refused_when_the_target_is_an_installation(
    terminal: Terminal, other: Terminal, target: str
) -> None:
    migrate.upgrade(target)
    order_id = make_order(other.kernel)
    refused = terminal.run("copy", "--to", target, exit_code=2).stderr
    assert "the target is no copy of this database" in refused
    assert other.json("orders", "show", order_id)["state"] == "pending"


def test_older_installation_is_left_alone_when_it_stands_at_the_target(
    terminal: Terminal, other: Terminal, target: str
) -> None:
    migrate.upgrade(target, "0008")
    with other.kernel.write_session() as session:
        tag = {"tag": "x", "seen_at": other.kernel.clock.now()}
        session.execute(insert(SelectTag).values(tag))
    assert "at migration 0008" in terminal.run("copy", "--to", target, exit_code=2).stderr
    assert migrate.current(target) == "0008"


@pytest.mark.parametrize(
    "url", ["itself", "oracle://h/x", "mysql+pymysql://u:geheim@127.0.0.1:1/x"]
)
def test_copy_fails_in_one_line_when_the_target_is_no_other_database(
    terminal: Terminal, url: str
) -> None:
    to = terminal.settings["database_url"] if url == "itself" else url
    refused = terminal.run("copy", "--to", to, exit_code=1 if "127" in url else 2).stderr
    assert refused.count("\n") == 1
    assert "geheim" not in refused


def test_newer_database_is_refused_when_this_release_does_not_know_its_columns(
    terminal: Terminal, target: str
) -> None:
    with terminal.kernel.write_session() as session:
        session.execute(text("UPDATE kernel_alembic_version SET version_num = '9999'"))
    assert "migration 9999" in terminal.run("copy", "--to", target, exit_code=2).stderr
