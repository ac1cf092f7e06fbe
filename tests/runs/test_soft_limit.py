"""`soft_limit`: TimeLimit strikes in the handler alone, and what becomes of the order then."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from kernel import TimeLimit
from kernel.errors import Reject, Retry, RunBroken
from kernel.handlers import Handlers, Partial, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.abilities import kind_of
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write

MakeKernel = Callable[..., Kernel]
SOFT = 0.5
LONG = 20.0


def written(kernel: Kernel) -> list[str]:
    with kernel.read_session() as session:
        return names(session)


def run_one(
    make_kernel: MakeKernel, url: str, work: Callable[[Run], Any], **limits: Any
) -> tuple[Kernel, Any]:
    """Run an order that writes a row and then works; return the kernel and the order's row."""
    registry = Handlers()

    @registry.register("do", Named, **{"soft_limit": SOFT, **limits})
    def do(run: Run, args: Named) -> Any:
        write(run, f"of run {run.number}")
        return work(run)

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order(kernel, order_id)


def wait_long(run: Run) -> Any:
    """Wait in the handler's own code, one step after the other."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        time.sleep(0.01)
    pytest.fail("TimeLimit did not strike")


def ask_long(run: Run) -> Any:
    """Wait in the midst of a statement."""
    run.session.execute(text(asleep(run)))
    pytest.fail("TimeLimit did not strike")


def asleep(run: Run) -> str:
    """Return a statement that takes longer than `LONG`."""
    return kind_of(run.session.connection().dialect.name).sleep


def tidy(wait: Callable[[Run], Any], then: Callable[[], Any]) -> Callable[[Run], Any]:
    def work(run: Run) -> Any:
        try:
            return wait(run)
        except TimeLimit:
            return then()

    return work


def test_run_is_timed_out_when_its_handler_lets_the_soft_limit_pass(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, left = run_one(make_kernel, database_url, wait_long)
    assert (left.state, left.timeouts, left.crashes) == ("pending", 1, 0)
    assert written(kernel) == []
    kernel, ended = run_one(make_kernel, database_url, wait_long, max_runs=1)
    assert (ended.state, ended.error_code) == ("failed", "timed_out")


def test_handler_that_catches_the_soft_limit_returns_an_outcome(
    make_kernel: MakeKernel, database_url: str
) -> None:
    some = tidy(wait_long, lambda: Partial({"done": 1}, "in time"))
    kernel, ended = run_one(make_kernel, database_url, some)
    assert (ended.state, ended.message) == ("warning", "in time")
    assert written(kernel) == ["of run 1"]


@pytest.mark.parametrize("wait", [wait_long, ask_long])
def test_handler_that_catches_the_soft_limit_asks_for_a_retry(
    make_kernel: MakeKernel, main_rows_url: str, wait: Callable[[Run], Any]
) -> None:
    def again() -> Any:
        raise Retry(after=60)

    kernel, left = run_one(make_kernel, main_rows_url, tidy(wait, again))
    assert (left.state, left.retries, left.timeouts) == ("pending", 1, 0)
    assert written(kernel) == []


def reject() -> Any:
    raise Reject("too_slow", "it is too slow")


def bug() -> Any:
    raise RuntimeError


@pytest.mark.parametrize("then", [dict, reject, bug], ids=["success", "reject", "bug"])
def test_run_is_timed_out_and_undone_when_the_soft_limit_struck_in_a_statement(
    make_kernel: MakeKernel, main_rows_url: str, then: Callable[[], Any]
) -> None:
    began = time.monotonic()
    kernel, left = run_one(make_kernel, main_rows_url, tidy(ask_long, then))
    assert (left.state, left.timeouts, left.error_code) == ("pending", 1, None)
    assert written(kernel) == []
    assert time.monotonic() - began < LONG / 2, "the answer was waited for"
    with kernel.read() as connection:
        asked = text(kind_of(connection.dialect.name).asleep)
        assert connection.scalar(asked) == 0, "the server was not told"


def test_run_is_timed_out_when_the_soft_limit_struck_in_the_guards_own_statement(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    """SAVEPOINT and mark go over the driver's own cursor, where SQLAlchemy catches nothing."""

    def work(run: Run) -> Any:
        execute = type(run.session.connection().connection.cursor()).execute
        cursor = type(run.session.connection().connection.cursor())

        def slow(self: Any, statement: str, *more: Any) -> Any:
            late = "SELECT SLEEP(20)" if statement.startswith("SAVEPOINT") else statement
            return execute(self, late, *more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cursor, "execute", slow)
            with pytest.raises(TimeLimit):
                run.session.execute(text("DO 1"))
        return {}

    kernel, left = run_one(make_kernel, mariadb_rows_url, work)
    assert (left.state, left.timeouts, written(kernel)) == ("pending", 1, [])


def test_worker_goes_on_with_its_connection_when_the_soft_limit_struck(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel, left = run_one(make_kernel, main_rows_url, tidy(ask_long, dict))
    kernel.handlers.register("next", Named)(lambda run, args: {})  # type: ignore[attr-defined]
    other = make_order(kernel, select_tag="next", args="{}")
    execute(kernel, other)
    assert order(kernel, other).state == "success"
    assert kernel.engines.running.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert order(kernel, left.id).state == "pending"


def test_soft_limit_waits_for_the_commit_of_a_checkpoint(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """It is over in the midst of the COMMIT, when nothing is known of its answer yet."""

    def work(run: Run) -> Any:
        engine = run.session.connection().engine
        event.listen(engine, "commit", lambda _: time.sleep(2 * SOFT), once=True)
        with pytest.raises(TimeLimit):
            run.checkpoint(1, 2, state="here")
        seen.append((run.progress and run.progress.current, run.state))
        write(run, "tidied")
        return {}

    seen: list[Any] = []
    kernel, ended = run_one(make_kernel, database_url, work)
    assert (ended.state, ended.run, seen) == ("success", 1, [(1, "here")])
    assert written(kernel) == ["of run 1", "tidied"]


def test_soft_limit_strikes_once_and_never_after_its_handler(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """The handler returns just before, and the kernel's own code goes on past the limit."""
    linger = tidy(wait_long, lambda: time.sleep(2 * SOFT) or {})
    _, ended = run_one(make_kernel, database_url, linger)
    assert ended.state == "success"

    def slow_end(run: Run) -> Any:
        engine = run.session.connection().engine
        event.listen(engine, "commit", lambda _: time.sleep(2 * SOFT), once=True)
        return {}

    _, ended = run_one(make_kernel, database_url, slow_end)
    assert ended.state == "success"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_late_signal_of_the_soft_limit_changes_nothing(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """One that was on its way when the handler returned: it finds the limit disarmed."""
    heard: list[Any] = []

    def work(run: Run) -> Any:
        heard.append(signal.getsignal(signal.SIGALRM))
        return {}

    _, ended = run_one(make_kernel, sqlite_url, work)
    assert ended.state == "success"
    heard[0](signal.SIGALRM, None)


class Dying:
    """Takes its time to be destroyed."""

    def __del__(self) -> None:
        deadline = time.monotonic() + 2 * SOFT
        while time.monotonic() < deadline:
            time.sleep(0.01)


def test_soft_limit_is_not_lost_in_a_destructor(make_kernel: MakeKernel, sqlite_url: str) -> None:
    """What a destructor raises is printed and forgotten."""

    def work(run: Run) -> Any:
        Dying()
        return wait_long(run)

    _, left = run_one(make_kernel, sqlite_url, work)
    assert (left.state, left.timeouts) == ("pending", 1)


def test_check_raises_the_soft_limit_in_a_thread(make_kernel: MakeKernel, sqlite_url: str) -> None:
    """No signal reaches a thread of a pool of threads."""
    raised: list[float] = []

    def work(run: Run) -> Any:
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            try:
                run.check()
            except TimeLimit:
                raised.append(time.monotonic())
                run.check()
                return {}
            time.sleep(0.01)
        return {}

    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(run_one(make_kernel, sqlite_url, work)[1].state)
    )
    thread.start()
    thread.join()
    assert (found, len(raised)) == (["success"], 1)


def test_checkpoint_commits_nothing_after_the_soft_limit_struck_in_a_statement(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    def save(run: Run) -> Any:
        try:
            ask_long(run)
        except TimeLimit:
            with pytest.raises(RunBroken):
                run.checkpoint(1)
        return {}

    kernel, left = run_one(make_kernel, main_rows_url, save)
    assert (left.state, left.timeouts, left.checkpoint, written(kernel)) == ("pending", 1, 0, [])
