"""`kernel bulk` and `kernel deliveries replay`: counted first, asked, done in this process."""

from pathlib import Path
from typing import Any

import pytest

from kernel.bulk.progress import TOLD
from kernel.cli import opening
from kernel.db.tables.operating.bulk import JOBS, RERUNS
from tests.support.bulk import begun, leave
from tests.support.factories import CALLBACK, delivery, make_delivery, make_order, order, rows
from tests.support.people.terminal import Terminal, interrupting


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens to hints here, so nobody waits for it."""
    monkeypatch.setattr(opening, "HINT_SECONDS", 0.0)


def over(terminal: Terminal, state: str = "dead") -> str:
    now = terminal.kernel.clock.now()
    return make_delivery(terminal.kernel, state=state, finished_at=now)


def failed(terminal: Terminal, **values: Any) -> str:
    ended = {"state": "failed", "error_code": "timed_out"}
    ended |= {"finished_at": terminal.kernel.clock.now(), "callback_url": CALLBACK}
    return make_order(terminal.kernel, **{**ended, **values})


def test_replay_asks_first_and_sends_dead_callbacks_alone(terminal: Terminal) -> None:
    dead, delivered = over(terminal), over(terminal, "delivered")
    refused = terminal.run("deliveries", "replay", stdin="n\n", exit_code=1)
    assert "1 callback (dead) would be sent again" in refused.stdout
    assert "by receiver: https://receiver.example:443 1" in refused.stdout
    assert delivery(terminal.kernel, dead).state == "dead"
    done = terminal.run("deliveries", "replay", stdin="y\n")
    assert "done: 1 sent again, 0 left" in done.stdout
    assert delivery(terminal.kernel, dead).state == "pending"
    assert delivery(terminal.kernel, delivered).state == "delivered"


def test_replay_needs_a_yes_where_no_person_can_be_asked(terminal: Terminal) -> None:
    over(terminal)
    assert terminal.run("deliveries", "replay", exit_code=1).stderr
    assert "--yes" in terminal.run("deliveries", "replay", "--json", exit_code=2).stderr
    done = terminal.json("deliveries", "replay", "--yes", "--status", "dead")
    assert (done["counted"], done["replayed"], done["state"]) == (1, 1, "done")


def test_dry_run_counts_and_changes_nothing(terminal: Terminal) -> None:
    dead = over(terminal)
    found = terminal.json("deliveries", "replay", "--dry-run")
    assert found["by_receiver"] == [{"value": "https://receiver.example:443", "count": 1}]
    assert found == terminal.json("deliveries", "count", "--state", "dead")
    assert delivery(terminal.kernel, dead).state == "dead"
    assert terminal.json("bulk", "list") == {"bulk": []}


def test_failed_orders_are_run_again_by_error(terminal: Terminal) -> None:
    old = failed(terminal, reference="INC1")
    failed(terminal, error_code="other")
    done = terminal.json("bulk", "rerun", "--error", "timed_out", "--since", "1h", "--yes")
    assert (done["kind"], done["done"], done["left"]) == ("rerun", 1, 0)
    (made,) = rows(terminal.kernel, RERUNS)
    assert (made.order_id, made.job_id) == (old, done["bulk_id"])
    assert order(terminal.kernel, made.new_id).reference == "INC1"


def test_what_was_left_is_shown_with_its_reason(terminal: Terminal) -> None:
    failed(terminal)
    terminal.run("bulk", "rerun", "--yes")
    done = terminal.run("bulk", "rerun", "--yes")
    assert "0 run again, 1 left" in done.stdout
    (last, _) = terminal.json("bulk", "list")["bulk"]
    shown = terminal.json("bulk", "show", last["bulk_id"])
    assert shown["left_because"] == {"already_rerun": 1}
    assert "already_rerun" in terminal.run("bulk", "show", last["bulk_id"]).stdout


def test_each_item_that_is_kept_as_left_is_shown(terminal: Terminal) -> None:
    job_id = begun(terminal.kernel, "cancel")
    leave(terminal.kernel, job_id, TOLD)
    assert len(terminal.json("bulk", "show", job_id)["left_items"]) == TOLD


def test_detached_act_is_aborted_or_done_later(terminal: Terminal) -> None:
    ids = [make_order(terminal.kernel) for _ in range(2)]
    left = terminal.json("bulk", "cancel", "--yes", "--detach")
    assert (left["state"], left["done"]) == ("running", 0)
    assert terminal.json("bulk", "abort", left["bulk_id"])["aborted"]
    again = terminal.json("bulk", "cancel", "--yes", "--detach")
    assert terminal.json("bulk", "run", again["bulk_id"])["done"] == 2
    assert {order(terminal.kernel, one).state for one in ids} == {"cancelled"}


def test_act_that_was_aborted_is_no_success(terminal: Terminal) -> None:
    make_order(terminal.kernel)
    left = terminal.json("bulk", "cancel", "--yes", "--detach")["bulk_id"]
    terminal.run("bulk", "abort", left)
    assert "aborted: 0 cancelled" in terminal.run("bulk", "run", left, exit_code=1).stdout


def test_interrupted_act_is_said_to_go_on(terminal: Terminal) -> None:
    """Two callbacks, one a minute: the second of them is waited for."""
    for _ in range(2):
        over(terminal)

    def rests() -> bool:
        return [row.done for row in rows(terminal.kernel, JOBS)] == [1]

    with interrupting(rests):
        done = terminal.run("bulk", "redeliver", "--rate", "1", "--yes", exit_code=130)
    (job,) = rows(terminal.kernel, JOBS)
    said = f"bulk act {job.id} goes on in the workers; to end it: kernel bulk abort {job.id}"
    assert (said in done.stderr, "Aborted" in done.stderr, job.state) == (True, False, "running")


def test_filter_that_makes_no_sense_is_refused_in_words(terminal: Terminal) -> None:
    done = terminal.run("bulk", "cancel", "--since", "yesterday", exit_code=2)
    assert "--since: 'yesterday' is no time" in done.stderr
    done = terminal.run("bulk", "rerun", "--state", "pending", "--yes", exit_code=1)
    assert "a rerun is for orders in these states: success" in done.stderr


def test_dropped_callbacks_are_dead(terminal: Terminal, tmp_path: Path) -> None:
    pending = make_delivery(terminal.kernel)
    assert terminal.json("bulk", "drop", "--host", "receiver.example", "--yes")["done"] == 1
    assert delivery(terminal.kernel, pending).died_of == "dropped"


@pytest.mark.parametrize("option", ["--reference", "--tag", "--text", "--ended-since"])
def test_act_is_refused_when_an_option_of_its_filter_says_nothing(
    terminal: Terminal, option: str
) -> None:
    kept = make_order(terminal.kernel)
    for blank in ("", " "):
        done = terminal.run("bulk", "cancel", option, blank, "--yes", exit_code=2)
        assert f"{option}: it says nothing" in done.stderr
    assert order(terminal.kernel, kept).state == "pending"
