"""A process is killed while its order holds a limit's slot, or has submitted children.

The lease and the sweep are so long that no test would wait for them, as in `test_takeover`.
"""

from pathlib import Path

import pytest

from kernel.db.tables.orders import ORDERS
from tests.support.factories import rows
from tests.support.handlers.dying import PARTS, begun
from tests.support.stack import Stack
from tests.support.waiting import wait_until
from tests.system.test_takeover import WITHIN, kill, processes_of_a_worker, said


def begun_of(folders: dict[str, Path], known: set[str]) -> list[str]:
    """The orders that have begun a run, but for those that are known."""
    first_runs = {order_id for order_id, folder in folders.items() if begun(folder, 1)}
    return sorted(first_runs - known)


@processes_of_a_worker(2)
def test_slot_of_a_killed_holder_goes_to_the_next_order_at_once_and_never_to_two(
    stack: Stack, tmp_path: Path
) -> None:
    stack.api()
    stack.worker()
    folders: dict[str, Path] = {}
    for number in range(3):
        (folder := tmp_path / f"order{number}").mkdir()
        given = {"folder": str(folder), "lock": str(tmp_path / "lock")}
        folders[stack.submit("held", **given)] = folder
    (holder,) = wait_until(lambda: begun_of(folders, set()), 60.0, "first holder")
    killed = kill(said(folders[holder], 1).process)
    (after,) = wait_until(lambda: begun_of(folders, {holder}), WITHIN, "next holder")
    took = said(folders[after], 1).at - killed
    print(f"the next order began after {took:.2f} s")
    assert took < WITHIN
    states = {row.id: row.state for row in rows(stack.kernel, ORDERS)}
    assert [one for one, state in states.items() if state == "running"] == [after]
    for folder in folders.values():
        (folder / "end").touch()
    ends = {order_id: stack.finished(order_id) for order_id in folders}
    # One that had met another at work would have failed as two_at_once.
    assert {order_id: end["result"] for order_id, end in ends.items()} == {
        order_id: {"run": 2 if order_id == holder else 1} for order_id in folders
    }


@pytest.mark.parametrize("committed", [0, PARTS // 2])
@processes_of_a_worker(2)
def test_children_of_a_killed_parent_are_those_of_its_commits_and_run_once(
    stack: Stack, tmp_path: Path, committed: int
) -> None:
    def parts() -> list[str]:
        return [row.id for row in rows(stack.kernel, ORDERS) if row.select_tag == "part"]

    stack.api()
    stack.worker()
    parent = stack.submit("split", folder=str(tmp_path), committed=committed)
    first = said(tmp_path, 1)
    assert len(parts()) == committed  # the others are submitted, and in no commit
    kill(first.process)
    end = stack.finished(parent)
    assert end["result"] == {
        "children": [["success", {"number": number}] for number in range(PARTS)]
    }
    assert len(parts()) == PARTS
    ran = (tmp_path / "parts").read_text().split()
    assert sorted(ran) == [str(number) for number in range(PARTS)]
    assert stack.callback(parent).headers["webhook-id"]
