"""Where a process lives: what its row says, and what others on the machine make of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel.worker.pool import whereabouts as subject
from kernel.worker.pool.subreaper import MARK, Found, look_at
from kernel.worker.pool.vitals import Life
from kernel.worker.pool.whereabouts import Whereabouts, kill_left_by, this_machine, whereabouts
from tests.support.waiting import is_running, wait_until


@contextmanager
def sleeping(**environment: str) -> Iterator[Found]:
    """Yield a process that sleeps, with this environment."""
    process = subprocess.Popen(["sleep", "600"], env=os.environ | environment)
    try:
        found = look_at(process.pid)
        assert found is not None
        # Before its exec it has the environment of this process.
        wait_until(lambda: b"600" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        yield found
    finally:
        process.kill()
        process.wait()


def test_what_is_written_is_read_again() -> None:
    here = whereabouts(os.getppid())
    assert here is not None
    assert (here.machine, len(here.lives)) == (this_machine(), 2)
    assert Whereabouts.read(here.written()) == here
    assert len(here.written()) <= 200
    assert not here.is_deserted


@pytest.mark.parametrize("written", ["m 1:2:3", "m one:2", "m 1", "m :", "m 1:2 x"])
def test_what_another_release_may_write_is_nowhere(written: str) -> None:
    assert Whereabouts.read(written) is None


def test_place_is_deserted_when_all_of_its_processes_have_ended() -> None:
    with sleeping() as first, sleeping() as second:
        place = Whereabouts("m", (first.life, second.life))
        os.kill(first.life.pid, 9)
        wait_until(lambda: not is_running(first.life.pid))
        assert not place.is_deserted
        os.kill(second.life.pid, 9)
        wait_until(lambda: place.is_deserted)  # nobody has waited for them yet


def test_another_process_with_the_same_id_is_not_the_one_that_lived_there() -> None:
    own = look_at(os.getpid())
    assert own is not None
    earlier = Life(own.life.pid, own.life.started - 1)
    assert Whereabouts("m", (earlier,)).is_deserted


def test_main_process_that_has_just_ended_is_left_out() -> None:
    with sleeping() as main:
        pass
    here = whereabouts(main.life.pid)
    assert here is not None
    assert len(here.lives) == 1


def test_nothing_is_told_where_processes_are_not_to_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(subject, "BOOT", tmp_path / "none")
    assert (this_machine(), whereabouts()) == (None, None)


def test_other_namespaces_and_users_are_other_machines() -> None:
    """Their processes are not to be seen in /proc here, and would be taken for gone."""
    asked = "from kernel.worker.pool.whereabouts import this_machine; print(this_machine())"
    here = [sys.executable, "-c", asked]
    ours = subprocess.run(here, check=True, capture_output=True, text=True).stdout.strip()
    assert ours == this_machine()
    others = ["unshare", "--pid", "--fork", "--mount-proc"], ["setpriv", "--reuid", "12345"]
    for other in others:
        done = subprocess.run([*other, *here], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{other[0]}: {done.stderr}")
        assert done.stdout.strip() not in {ours, "None"}
    # A namespace of its own with the /proc of this one sees others' processes under its own ids.
    blind = ["unshare", "--pid", "--fork", *here]
    assert subprocess.run(blind, check=True, capture_output=True).stdout.strip() == b"None"


def test_what_a_process_has_left_is_killed_and_nothing_else() -> None:
    with (
        sleeping(**{MARK: "gone"}) as left,
        sleeping(**{MARK: "other"}) as other,
        sleeping() as own,
    ):
        assert kill_left_by("gone")
        assert [is_running(one.life.pid) for one in (left, other, own)] == [False, True, True]
        assert kill_left_by("gone")
