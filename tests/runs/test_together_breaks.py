"""Short orders that share a commit, and what one of them, or its process, does to the others."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from kernel.errors import Reject, Retry
from kernel.handlers import Run
from kernel.orders.gates.limits import known
from kernel.orders.gates.limits.changes import Change, set_limit
from kernel.orders.gates.limits.known import limits
from kernel.orders.transitions import RunEnd
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runs.together import which
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RUNS
from kernel.worker.maintenance.rescue import take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.services.lease_keeper import LeaseKeeper
from tests.support.factories import order
from tests.support.rivals import Rival, kill, touch
from tests.support.together import DONE, Message, change, commits_of
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def message(make_kernel: MakeKernel, database_url: str) -> Message:
    """A message of ten short orders."""
    return Message(make_kernel, database_url)


def test_each_runs_alone_when_one_is_the_victim_of_a_deadlock(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    message = Message(make_kernel, mariadb_rows_url)

    def deadlock(run: Run) -> dict[str, Any]:
        if message.called.count("4") == 1:
            with Rival(message.kernel) as rival:
                touch(run.session, "first")
                rival.wants("first")
                touch(run.session, "second")
        return {}

    message.does = {"4": deadlock}
    ends = message.execute()
    assert [end.order_id for end in ends] == message.ids
    assert message.states == [DONE] * 10
    assert message.written == [*message.names(), "first", "second"]
    assert message.called == [*message.names()[:5], *message.names()]
    assert message.counted == 0, "nothing counts against anyone"


def test_each_runs_alone_when_a_handler_rolls_back(message: Message) -> None:
    message.does = {"4": lambda run: run.session.connection().rollback()}
    message.execute()
    assert message.written[:4] == message.names()[:4], "in the same process"
    message.execute()  # what came behind it, where its connection was thrown away
    assert [state for state, _ in message.states] == [*["success"] * 4, "failed", *["success"] * 5]
    assert message.written == message.names(4)
    assert message.called == [*message.names()[:5], *message.names()]


def test_all_are_given_back_when_the_connection_is_lost(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    message = Message(make_kernel, main_rows_url)

    def lose(run: Run) -> dict[str, Any]:
        if run.number == 1:
            kill(message.kernel, run.session.connection())
        return {}

    message.does = {"4": lose}
    ends = message.execute()
    assert sorted(end.order_id for end in ends if end.again_in == 0.0) == message.ids
    assert (message.states, message.counted) == ([("pending", 1)] * 10, 0)
    assert (message.written, message.kernel.running) == ([], {})
    commits = commits_of(message.kernel)
    message.execute()
    assert message.states == [("success", 2)] * 10
    assert message.written == message.names()
    assert len(commits) == 11, "an order that has run before runs alone"


def test_others_end_when_one_is_lost_to_another_run(message: Message) -> None:
    def lose(run: Run) -> dict[str, Any]:
        with suppress(OperationalError):  # SQLite has one writer
            change(message.kernel, message.ids[2], run=7)
        return {}

    message.does = {"9": lose}
    if message.kernel.dialect.is_remote:
        message.execute()
        assert message.states == [*[DONE] * 2, ("running", 7), *[DONE] * 7]
        assert message.written == message.names(2)


@pytest.mark.parametrize("values", [{"run": 4}, {"state": "cancelled"}, {"checkpoint": 2}])
def test_orders_are_left_out_that_changed_after_the_look(
    message: Message, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    """Of the second group, which is claimed with the end of the first."""
    monkeypatch.setattr(which, "MOST", 4)

    def change_a_later_one(run: Run) -> dict[str, Any]:
        change(message.kernel, message.ids[5], **values)
        return {}

    if not message.kernel.dialect.is_remote:
        return  # SQLite has one writer
    message.does = {"3": change_a_later_one}
    list(execute_each(message.kernel, message.ids[:8]))
    assert message.states[5] != DONE
    assert message.written == message.called == [str(n) for n in (0, 1, 2, 3, 4, 6, 7)]


@pytest.mark.parametrize("values", [{"run": 4}, {"state": "cancelled"}, {"checkpoint": 2}])
def test_orders_are_left_out_that_changed_before_the_claim(
    message: Message, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    def company_of(found: Any, limits: Any) -> Any:
        if message.called == []:
            for one in (2, 6):
                change(message.kernel, message.ids[one], **values)
        return which.company_of(found, limits)

    if message.kernel.dialect.is_remote:
        monkeypatch.setattr(claim, "company_of", company_of)
        message.execute()
        assert message.written == message.called == message.names(2, 6)
        done = [n for n, state in enumerate(message.states) if state == DONE]
        assert done == [0, 1, 3, 4, 5, 7, 8, 9]


def test_a_process_that_dies_in_a_handler_takes_all_of_them_and_nothing_is_stored(
    make_kernel: MakeKernel, database_url: str
) -> None:
    message = Message(make_kernel, database_url)
    message.does = {"4": lambda run: os._exit(9)}
    if (child := os.fork()) == 0:
        message.execute()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (message.written, message.states) == ([], [("running", 1)] * 10)
    ends: list[RunEnd] = []
    runner = order(message.kernel, message.ids[0]).runner
    assert runner is not None
    assert take_over(message.kernel, runner, SetAside("order not taken over"), ends)
    assert [order(message.kernel, one).crashes for one in message.ids] == [1] * 10
    message.does = {}
    message.execute()
    assert (message.states, message.written) == ([("success", 2)] * 10, message.names())


def test_each_runs_alone_when_a_limit_is_set_for_its_tag_meanwhile(
    make_kernel: MakeKernel, main_rows_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = Message(make_kernel, main_rows_url)

    def limit(run: Run) -> dict[str, Any]:
        set_limit(message.kernel, "short", Change(concurrency=2))
        monkeypatch.setattr(known, "KNOWN_SECONDS", 0.0)
        limits(message.kernel)
        monkeypatch.setattr(known, "KNOWN_SECONDS", 3600.0)
        return {}

    message.does = {"4": limit}
    message.execute()
    assert message.states == [DONE] * 10
    assert message.called == [*message.names(), *message.names()]
    one, other = message.make("one"), message.make("other")
    commits = commits_of(message.kernel)
    list(execute_each(message.kernel, [one, other]))
    assert len(commits) > 2, "what has a limit runs alone"


def test_metrics_count_each_order_once(make_kernel: MakeKernel, mariadb_rows_url: str) -> None:
    message = Message(make_kernel, mariadb_rows_url)
    counted: list[Any] = []
    message.kernel.metrics.count = (  # type: ignore[method-assign]
        lambda *what: counted.append(what)
    )
    message.does = {"4": lambda run: run.session.connection().rollback()}
    message.execute()
    message.execute()  # what came behind it
    runs = [what for what in counted if what[0] is RUNS]
    assert sorted(runs) == sorted([(RUNS, "short", "success")] * 9 + [(RUNS, "short", "failed")])


def test_only_the_order_that_takes_too_long_is_timed_out(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    message = Message(make_kernel, main_rows_url, time_limit_seconds=0.1)
    overdue: list[Run] = []
    ends: list[RunEnd] = []

    def hang(run: Run) -> dict[str, Any]:
        keeper = LeaseKeeper(message.kernel, ends.append, seconds=0.0, overdue=overdue.append)

        def is_over() -> bool:
            keeper.run()
            return overdue != []

        wait_until(is_over)
        return {}

    message.does = {"4": hang}
    message.execute()
    assert [run.order_id for run in overdue] == [message.ids[4]]
    assert (message.states, message.written) == ([("pending", 1)] * 10, [])
    timeouts = [order(message.kernel, one).timeouts for one in message.ids]
    assert (timeouts, message.counted) == ([0] * 4 + [1] + [0] * 5, 1)


class Odd:
    """What a handler may do; the name says what becomes of its order."""

    @staticmethod
    def success(run: Run) -> dict[str, Any]:
        """Return."""
        return {}

    @staticmethod
    def failed(run: Run) -> dict[str, Any]:
        """Refuse."""
        raise Reject("no", "no")

    @staticmethod
    def bug(run: Run) -> dict[str, Any]:
        """Raise what no handler should."""
        raise ZeroDivisionError

    @staticmethod
    def retry(run: Run) -> dict[str, Any]:
        """Ask for another run, long after this test."""
        raise Retry(after=3600)

    @staticmethod
    def rollback(run: Run) -> dict[str, Any]:
        """End the transaction of all."""
        run.session.connection().rollback()
        return {}


BECOMES = {"success": "success", "failed": "failed", "bug": "failed", "rollback": "failed"}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mix=st.lists(st.sampled_from([*BECOMES, "retry"]), min_size=1, max_size=12))
def test_each_ends_as_it_would_alone_whatever_the_others_do(
    make_kernel: MakeKernel, tmp_path: Path, mix: list[str]
) -> None:
    url = f"sqlite:///{tmp_path}/{uuid4()}.db"
    message = Message(make_kernel, url, len(mix))
    message.does = {str(n): getattr(Odd, one) for n, one in enumerate(mix)}
    for _ in mix:  # what a thrown away connection has left is hinted again
        message.execute()
    assert [state for state, _ in message.states] == [BECOMES.get(one, "pending") for one in mix]
    assert message.written == sorted(str(n) for n, one in enumerate(mix) if one == "success")
    assert message.counted == mix.count("retry")
