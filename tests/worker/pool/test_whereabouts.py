"""Where a process lives: what its row says, and what others on the machine make of it."""

import os
import shlex
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
from tests.support.stack import children_of
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
    assert not here.is_deserted()


@pytest.mark.parametrize("written", ["", " ", "m", "m 1:2:3", "m one:2", "m 1", "m :", "m 1:2 x"])
def test_what_another_release_may_write_is_nowhere(written: str) -> None:
    assert Whereabouts.read(written) is None


def test_place_is_deserted_when_all_of_its_processes_have_ended() -> None:
    with sleeping() as first, sleeping() as second:
        place = Whereabouts("m", (first.life, second.life))
        os.kill(first.life.pid, 9)
        wait_until(lambda: not is_running(first.life.pid))
        assert not place.is_deserted()
        os.kill(second.life.pid, 9)
        wait_until(place.is_deserted)  # nobody has waited for them yet


def test_another_process_with_the_same_id_is_not_the_one_that_lived_there() -> None:
    own = look_at(os.getpid())
    assert own is not None
    earlier = Life(own.life.pid, own.life.started - 1)
    assert Whereabouts("m", (earlier,)).is_deserted()


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


def run(*argv: str) -> str:
    """Run a program to its end and return what it said; skip the test where that is not allowed."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"{argv[0]}: {done.stderr}")
    return done.stdout.strip()


ASKS = "from kernel.worker.pool.whereabouts import this_machine; print(this_machine())"
ASKING = (sys.executable, "-c", ASKS)


def test_other_namespaces_and_users_are_other_machines() -> None:
    """Their processes are not to be seen in /proc here, or by other times."""
    assert run(*ASKING) == this_machine()
    for other in (
        ("unshare", "--pid", "--fork", "--mount-proc"),
        ("unshare", "--time", "--fork", "--boottime", "1000"),
        ("setpriv", "--reuid", "12345"),
    ):
        assert run(*other, *ASKING) not in {this_machine(), "None"}
    # A namespace of its own with the /proc of this one sees others' processes under its own ids.
    assert run("unshare", "--pid", "--fork", *ASKING) == "None"


HIDING = "mount -t proc -o hidepid=2 proc /proc && exec"
USER = "setpriv --reuid 12345 --clear-groups --regid"
LOOKS = """
import sys
from kernel.worker.pool.subreaper import is_gone, look_at
from kernel.worker.pool.vitals import Life
hidden, none = Life(*map(int, sys.argv[1:])), Life(2**22 - 1, 1)
print(look_at(hidden.pid), is_gone(hidden), is_gone(none))
"""


def test_process_that_proc_hides_is_not_gone() -> None:
    """As systemd's ProtectProc=invisible does: one of the same user, and of another group."""
    hidden = subprocess.Popen([*USER.split(), "12345", "sleep", "600"])
    try:
        wait_until(lambda: b"600" in Path(f"/proc/{hidden.pid}/cmdline").read_bytes())
        found = look_at(hidden.pid)
        assert found is not None
        looks = [*USER.split(), "54321", sys.executable, "-c", LOOKS, *map(str, found.life)]
        mounting = f"{HIDING} {shlex.join(looks)}"
        assert run("unshare", "--mount", "sh", "-c", mounting) == "None False True"
    finally:
        hidden.kill()
        hidden.wait()


def test_boot_is_told_where_proc_has_only_processes() -> None:
    """As systemd's ProcSubset=pid leaves it; its units say which boot it is."""
    mounting = "mount -t proc -o subset=pid proc /proc && exec "
    words = f"{sys.executable} -c '{ASKS}'"
    assert run("unshare", "--mount", "sh", "-c", mounting + words) == "None"
    boot = subject.BOOT.read_text().strip().replace("-", "")
    for told, found in ((boot, this_machine()), ("1", "None")):
        asking = f"{mounting} env {subject.BOOT_VARIABLE}={told} {words}"
        assert run("unshare", "--mount", "sh", "-c", asking) == str(found)
    # Where /proc tells, a variable that is the same on two hosts does not count.
    assert run("env", f"{subject.BOOT_VARIABLE}={'a' * 32}", *ASKING) == this_machine()


NOWHERE = Whereabouts("m", (Life(2**30, 1),))


def test_what_a_process_has_left_is_killed_and_nothing_else() -> None:
    with (
        sleeping(**{MARK: "gone"}) as left,
        sleeping(**{MARK: "other"}) as other,
        sleeping() as own,
    ):
        assert kill_left_by("gone", NOWHERE, {})
        assert [is_running(one.life.pid) for one in (left, other, own)] == [False, True, True]
        assert kill_left_by("gone", NOWHERE, {})


FORKS = """
import os, time
os.setsid()
if os.fork():
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_what_has_only_forked_is_known_by_the_session_of_its_main_process() -> None:
    """Its environment is that of the main process. A daemon of one that lives may be there, too."""
    main = subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    assert int(main.stdout.readline()) == main.pid
    found = look_at(main.pid)
    assert found is not None
    (child,) = children_of(main.pid)
    main.kill()
    main.wait()
    main.stdout.close()  # the child has it open as well
    place = Whereabouts("m", (NOWHERE.main, found.life))
    assert kill_left_by("gone", NOWHERE, {})
    assert is_running(child)
    assert kill_left_by("gone", place, {})
    wait_until(lambda: not is_running(child))


def test_session_of_another_process_with_the_id_of_the_main_process_is_left_alone() -> None:
    """In a container that is started again ids are the same."""
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        found = look_at(other.pid)
        assert found is not None
        earlier = Life(other.pid, found.life.started - 1)
        assert kill_left_by("gone", Whereabouts("m", (NOWHERE.main, earlier)), {})
        assert is_running(other.pid)
    finally:
        other.kill()
        other.wait()


STARTED = """
import sys
from kernel.worker.pool.vitals import Life
from kernel.worker.pool.whereabouts import Whereabouts, kill_left_by
place, other = Whereabouts("m", (Life(2**30, 1),)), Life(int(sys.argv[1]), 1)
print(kill_left_by("gone", place, {"other": Whereabouts("m", (other,))}))
"""


def test_workers_that_an_order_has_started_stay_when_its_process_is_gone() -> None:
    """A deployment, say: this one, and another one whose row tells that it lives."""
    with sleeping(**{MARK: "gone"}) as other, sleeping(**{MARK: "gone"}) as left:
        argv = [sys.executable, "-c", STARTED, str(other.life.pid)]
        env = os.environ | {MARK: "gone"}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"
        assert [is_running(one.life.pid) for one in (other, left)] == [True, False]
