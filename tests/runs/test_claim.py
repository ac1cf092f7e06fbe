"""Orders that were hinted together: they share commits, and nothing else."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import InvalidRequestError

from kernel.builtin import projects
from kernel.db.tables.orders import ORDERS
from kernel.errors import Reject, Retry
from kernel.handlers import Handlers, Run
from kernel.orders.transitions import RunEnd
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write
from tests.support.lossy_proxy import LossyProxy
from tests.support.rivals import kill
from tests.support.servers import Server

MakeKernel = Callable[..., Kernel]
Meanwhile = Callable[[Kernel, Run], object]


def make(make_kernel: MakeKernel, url: str, meanwhile: Meanwhile, count: int = 3) -> "Together":
    """Make a kernel with orders 0, 1, ...; ``meanwhile`` happens before a handler writes."""
    registry = Handlers()

    @registry.register("do", Named, max_runs=1)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        meanwhile(kernel, run)
        return {}

    kernel = make_kernel(url, registry)
    args = [f'{{"name":"{number}"}}' for number in range(count)]
    return Together(kernel, [make_order(kernel, select_tag="do", args=one) for one in args])


class Together:
    """A kernel and the orders that one message hints."""

    def __init__(self, kernel: Kernel, order_ids: list[str]) -> None:
        self.kernel, self.order_ids = kernel, order_ids

    def execute(self) -> list[RunEnd]:
        """Run them as a worker does."""
        return list(execute_each(self.kernel, self.order_ids))

    @property
    def states(self) -> list[tuple[str, int, int]]:
        """State, run and crashes of each."""
        found = [order(self.kernel, one) for one in self.order_ids]
        return [(one.state, one.run, one.crashes) for one in found]

    @property
    def written(self) -> list[str]:
        """What handlers have written, the oldest first."""
        with self.kernel.read_session() as session:
            return list(session.scalars(select(projects.c.projname).order_by(projects.c.id)))


def nothing(kernel: Kernel, run: Run) -> None:
    """Let the handler do its work undisturbed."""


PENDING, DONE = ("pending", 0, 0), ("success", 1, 0)


def test_orders_run_in_turn_and_share_commits_when_hinted_together(
    make_kernel: MakeKernel, database_url: str
) -> None:
    together = make(make_kernel, database_url, nothing)
    commits: list[None] = []
    event.listen(together.kernel.engines.running, "commit", lambda _: commits.append(None))
    assert [one.order_id for one in together.execute()] == together.order_ids
    assert (together.states, together.written) == ([DONE] * 3, ["0", "1", "2"])
    assert len(commits) == 4, "the claim of the first, and the end of each"


def test_one_order_runs_at_a_time_and_the_next_is_nobodys_when_hinted_together(
    make_kernel: MakeKernel, database_url: str
) -> None:
    seen: list[Any] = []

    def look(kernel: Kernel, run: Run) -> None:
        assert list(kernel.running) == [(run.order_id, run.number)]
        seen.append([state for state, _, _ in together.states])

    together = make(make_kernel, database_url, look)
    together.execute()
    assert seen == [
        ["running", "pending", "pending"],
        ["success", "running", "pending"],
        ["success", "success", "running"],
    ]


def test_others_are_untouched_when_the_process_dies_in_mid_run(
    make_kernel: MakeKernel, database_url: str
) -> None:
    together = make(make_kernel, database_url, lambda kernel, run: os._exit(9))
    if (child := os.fork()) == 0:
        together.execute()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert together.states == [("running", 1, 0), PENDING, PENDING]


@pytest.mark.parametrize("values", [{"run": 4}, {"state": "cancelled"}, {"checkpoint": 2}])
def test_order_is_passed_over_when_it_changed_after_the_look(
    make_kernel: MakeKernel, database_url: str, values: dict[str, Any]
) -> None:
    together = make(make_kernel, database_url, nothing)
    executing = execute_each(together.kernel, together.order_ids)
    next(executing)
    with together.kernel.write_session() as session:
        last = update(ORDERS).where(ORDERS.c.id == together.order_ids[2])
        session.execute(last.values(**values))
    assert [one.order_id for one in executing] == together.order_ids[1:2]
    assert together.written == ["0", "1"]
    found = order(together.kernel, together.order_ids[2])
    assert {name: getattr(found, name) for name in values} == values


@pytest.mark.parametrize(
    ("error", "state"), [(Reject("no", "no"), "failed"), (Retry(after=60), "pending")]
)
def test_next_order_runs_when_the_one_before_did_not_succeed(
    make_kernel: MakeKernel, database_url: str, error: Exception, state: str
) -> None:
    def refuse(kernel: Kernel, run: Run) -> None:
        if run.order_id == together.order_ids[0]:
            raise error

    together = make(make_kernel, database_url, refuse)
    together.execute()
    assert (together.states, together.written) == ([(state, 1, 0), DONE, DONE], ["1", "2"])


def test_rest_is_due_again_at_once_when_a_handler_takes_long(
    make_kernel: MakeKernel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dawdle(kernel: Kernel, run: Run) -> None:
        monkeypatch.setattr(claim, "monotonic", lambda: float("inf"))

    together = make(make_kernel, database_url, dawdle)
    executed = together.execute()
    assert together.states == [DONE, PENDING, PENDING]
    due = {one.order_id: one.again_in for one in executed[1:]}
    assert due == dict.fromkeys(together.order_ids[1:], 0.0)


def test_rest_is_not_begun_when_the_worker_stops(
    make_kernel: MakeKernel, database_url: str
) -> None:
    together = make(make_kernel, database_url, lambda kernel, run: kernel.stopping.set())
    together.execute()
    assert together.states == [DONE, PENDING, PENDING]


def test_claimed_order_is_handed_back_when_nobody_will_run_it(
    make_kernel: MakeKernel, database_url: str
) -> None:
    together = make(make_kernel, database_url, nothing)
    executing = execute_each(together.kernel, together.order_ids)
    next(executing)
    assert together.states == [DONE, ("running", 1, 0), PENDING]
    executing.close()  # type: ignore[attr-defined]
    assert together.states == [DONE, ("pending", 1, 0), PENDING]


def test_next_order_is_handed_back_when_the_answer_to_its_commit_is_lost(
    make_kernel: MakeKernel, main_database: Server, main_rows_url: str
) -> None:
    with LossyProxy(main_database.port) as proxy:

        def lose(kernel: Kernel, run: Run) -> None:
            if run.order_id == together.order_ids[0]:
                proxy.lose_commit()

        url = main_rows_url.replace(str(main_database.port), str(proxy.port))
        together = make(make_kernel, url, lose)
        executed = together.execute()
        assert proxy.lost == 1
        assert together.states == [DONE, ("pending", 1, 0), PENDING], "no crash is counted"
        again = {one.order_id for one in executed if one.again_in == 0.0}
        assert again >= {*together.order_ids[1:]}
        together.execute()
        assert [state for state, _, _ in together.states] == ["success"] * 3
        assert together.written == ["0", "1", "2"]


def test_rest_is_left_to_others_when_it_cannot_be_claimed(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    def leave(kernel: Kernel, run: Run) -> None:
        raise Retry(after=60)  # so the next claim is a transaction of its own

    together = make(make_kernel, main_rows_url, leave)
    executing = execute_each(together.kernel, together.order_ids)
    next(executing)
    with together.kernel.write_session() as session:
        second = ORDERS.c.id == together.order_ids[1]
        session.execute(update(ORDERS).where(second).values(message="held by somebody else"))
        rest = list(executing)  # waits as long as a lock is waited for, then an error
    assert {one.order_id: one.again_in for one in rest} == dict.fromkeys(
        together.order_ids[1:], 0.0
    )


def test_order_is_handed_back_when_its_connection_dies_before_it_begins(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    together = make(make_kernel, main_rows_url, nothing)
    executing = execute_each(together.kernel, together.order_ids)
    next(executing)
    kill(together.kernel, order(together.kernel, together.order_ids[1]).connection_id)
    together.kernel.settings = together.kernel.settings.model_copy(
        update={"time_limit_seconds": 77}  # what has to be said to the connection first
    )
    due = {one.order_id: one.again_in for one in executing}
    assert due == dict.fromkeys(together.order_ids[1:], 0.0)
    assert together.states == [DONE, ("pending", 1, 0), PENDING]
    together.execute()
    assert [state for state, _, _ in together.states] == ["success"] * 3


def test_first_order_is_handed_back_when_the_answer_to_its_claim_is_lost(
    make_kernel: MakeKernel, main_database: Server, main_rows_url: str
) -> None:
    with LossyProxy(main_database.port) as proxy:
        url = main_rows_url.replace(str(main_database.port), str(proxy.port))
        together = make(make_kernel, url, nothing)
        with together.kernel.run_connection():  # what a new one says stays out of it
            proxy.lose_commit()
        together.execute()
        proxy.keep()
        assert (proxy.lost, together.states[0]) == (1, ("pending", 1, 0)), "no crash is counted"


def test_next_order_is_not_run_unclaimed_when_the_commit_is_refused(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    begun: list[str] = []

    def orphan(kernel: Kernel, run: Run) -> None:
        begun.append(run.order_id)
        if run.order_id == together.order_ids[0]:
            run.session.execute(text("INSERT INTO orphans VALUES ('of no order')"))

    together = make(make_kernel, sqlite_url, orphan)
    with together.kernel.write() as connection:
        refers = "REFERENCES kernel_orders (id) DEFERRABLE INITIALLY DEFERRED"
        connection.exec_driver_sql(f"CREATE TABLE orphans (order_id TEXT {refers})")
    together.execute()
    assert begun == [together.order_ids[0], together.order_ids[2]]
    assert together.states == [("failed", 1, 0), PENDING, DONE]
    together.execute()
    assert together.written == ["2", "1"]


def test_session_that_a_handler_kept_is_of_no_use_when_its_run_has_ended(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kept: list[Run] = []

    def keep(kernel: Kernel, run: Run) -> None:
        kept.append(run)
        if len(kept) > 1:
            with pytest.raises(InvalidRequestError, match="closed"):
                write(kept[0], "with a session of the run before")

    together = make(make_kernel, database_url, keep)
    together.execute()
    assert (together.states, together.written) == ([DONE] * 3, ["0", "1", "2"])


def test_order_is_run_again_and_not_failed_when_the_next_is_locked(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    together = make(make_kernel, main_rows_url, nothing)
    executing = execute_each(together.kernel, together.order_ids[:2])
    with together.kernel.write_session() as session:
        second = ORDERS.c.id == together.order_ids[1]
        session.execute(update(ORDERS).where(second).values(message="held by somebody else"))
        first = next(executing)  # waits as long as a lock is waited for, then an error
    assert (first.outcome, first.again_in) == (None, 0.2)
    assert (together.states[0], together.written) == (("pending", 1, 0), [])
    assert [one.order_id for one in executing] == together.order_ids[1:2]
    together.kernel.clock.shift(1)
    together.execute()
    assert [state for state, _, _ in together.states] == ["success"] * 3
