"""Workers step back behind the API."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel.cli.local.processes import Child
from kernel.worker.priority import AUTOGROUP
from tests.support.stack import Stack

CODE = """
import os, sys
from kernel.worker.priority import AUTOGROUP, step_back
step_back(int(sys.argv[1]))
print(os.nice(0), AUTOGROUP.read_text() if AUTOGROUP.exists() else "", sep=chr(10))
"""

# Begins anew in its own process as often as it is told to, then starts another program.
BEGINNING_ANEW = """
import os, subprocess, sys
from kernel.worker.priority import step_back
step_back(2)
*argv, left = sys.orig_argv
if int(left):
    os.execv(sys.executable, [*argv, str(int(left) - 1)])
print(os.nice(0), flush=True)
code = "import os; from kernel.worker.priority import step_back; step_back(2); print(os.nice(0))"
subprocess.run([sys.executable, "-c", code], check=True)
"""


def nice_in(autogroup: str) -> str:
    """The number in what the file says; "-" for a process that was never put in a group.

    The file of such a process, a descendant of init outside any session, exists and is empty.
    """
    return autogroup.rpartition(" nice ")[2].strip() or "-"


def stepped_back(nice: int, *, leads: bool) -> list[str]:
    """The process's own value, and its group's, after a step back."""
    argv = [sys.executable, "-c", CODE, str(nice)]
    said = subprocess.check_output(argv, text=True, start_new_session=leads)
    own, _, autogroup = said.partition("\n")
    return [own, nice_in(autogroup)]


def group_of(pid: int | str) -> str:
    path = Path(f"/proc/{pid}/autogroup")
    return nice_in(path.read_text()) if path.exists() else "-"


@pytest.mark.parametrize(
    ("said", "nice"), [("/autogroup-12 nice -3\n", "-3"), ("", "-"), ("\n", "-")]
)
def test_number_is_read_when_the_process_is_in_no_group_too(said: str, nice: str) -> None:
    assert nice_in(said) == nice


def test_process_and_its_group_step_back_when_it_leads_its_session() -> None:
    expected = "7" if AUTOGROUP.exists() else "-"
    assert stepped_back(7, leads=True) == [str(os.nice(0) + 7), expected]


def test_group_is_left_alone_when_it_is_a_terminals() -> None:
    assert stepped_back(7, leads=False) == [str(os.nice(0) + 7), group_of("self")]


def test_nothing_changes_when_the_step_is_none() -> None:
    assert stepped_back(0, leads=True)[0] == str(os.nice(0))


def test_process_steps_back_once_when_celery_begins_anew_in_it() -> None:
    """As on SIGHUP. A program that it starts is another process, and may step back itself."""
    argv = [sys.executable, "-c", BEGINNING_ANEW, "3"]
    said = subprocess.check_output(argv, text=True, start_new_session=True).split()
    assert said == [str(os.nice(0) + 2), str(os.nice(0) + 4)]


def start(stack: Stack, command: str) -> Child:
    if command != "dispatcher":
        return stack.worker(command)
    said = f"{command} started"
    return stack.start(command, "kernel", command, ready=lambda: said in stack.log())


@pytest.mark.parametrize("command", ["kernel", "celery", "dispatcher"])
def test_worker_steps_back_and_the_api_does_not_when_both_run(stack: Stack, command: str) -> None:
    api, one = stack.api(), start(stack, command)
    children = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text()
    behind = int([str(one.pid), *children.split()][-1])
    assert os.getpriority(os.PRIO_PROCESS, behind) == os.nice(0) + 5
    assert group_of(behind) in {"5", "-"}
    assert os.getpriority(os.PRIO_PROCESS, api.pid) == os.nice(0)
