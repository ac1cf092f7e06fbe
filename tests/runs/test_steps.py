"""`run.step`: done once and recorded, given back to later runs, refused where it would be wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kernel import Reject, Retry, StepRetry
from kernel.handlers import Run
from kernel.runtime.kernel import Kernel
from tests.support.handlers.misbehaving import names, write
from tests.support.handlers.stepping import Desk, MakeKernel


def written(kernel: Kernel) -> list[str]:
    with kernel.read_session() as session:
        return sorted(names(session))


def test_result_is_given_back_to_every_later_run(
    make_kernel: MakeKernel, database_url: str
) -> None:
    done: list[str] = []

    def work(run: Run) -> Any:
        write(run, f"before, run {run.number}")
        first = run.step("vm", lambda size: done.append("vm") or {"id": "vm-1", "size": size}, 4)
        second = run.step("dns", lambda: done.append("dns") or (1, 2))
        if run.number < 3:
            write(run, "never")
            raise Retry
        return [first, second]

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    assert written(desk.kernel) == ["before, run 1"], "committed before the first step"
    desk.run()
    ended = desk.run()
    assert ended.state == "success"
    assert json.loads(ended.result or "")["of"] == [{"id": "vm-1", "size": 4}, [1, 2]]
    assert done == ["vm", "dns"]
    assert desk.told() == [("vm", 1, True), ("dns", 1, True)]
    assert all(one.duration_ms is not None and one.error is None for one in desk.steps)
    assert ended.checkpoint == 4


def test_no_transaction_is_open_while_a_step_is_done(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> Any:
        write(run, "row")

        def far() -> int:
            assert not run.session.in_transaction()
            with desk.kernel.read_session() as session:
                return len(names(session))

        return run.step("far", far)

    desk = Desk(make_kernel, database_url, work)
    assert json.loads(desk.run().result or "") == {"of": 1}


def test_what_a_step_writes_commits_with_its_record_or_not_at_all(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def fill(run: Run, name: str) -> None:
        write(run, name)
        if run.number == 1 and name == "second":
            raise OSError("far away")

    def work(run: Run) -> None:
        run.step("first", fill, run, "first")
        run.step("second", fill, run, "second", retry=StepRetry())

    desk = Desk(make_kernel, database_url, work)
    assert desk.run().state == "pending"
    assert written(desk.kernel) == ["first"]
    assert desk.run().state == "success"
    assert written(desk.kernel) == ["first", "second"]


def test_reject_does_not_undo_what_a_step_has_done(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> None:
        write(run, "stays")
        run.step("vm", lambda: "made")
        write(run, "goes")
        raise Reject("no_room", "there is no room")

    desk = Desk(make_kernel, database_url, work)
    assert desk.run().error_code == "no_room"
    assert written(desk.kernel) == ["stays"]
    assert desk.told() == [("vm", 1, True)]


def fail(said: str) -> Callable[[], None]:
    def failing() -> None:
        raise ConnectionError(said)

    return failing


def test_step_is_attempted_again_with_a_growing_pause_until_no_attempt_is_left(
    make_kernel: MakeKernel, database_url: str
) -> None:
    retry = StepRetry(attempts=3, after=300)

    def work(run: Run) -> None:
        run.step("first", lambda: None)
        run.step("far", fail(f"attempt {run.number}"), retry=retry)

    desk = Desk(make_kernel, database_url, work)
    pauses = []
    for _ in range(2):
        before = desk.kernel.clock.now()
        left = desk.run()
        pauses.append((left.run_after - before).total_seconds() - 2000)
        assert (left.state, left.error_code) == ("pending", None)
    assert 300 <= pauses[0] < 500
    assert 600 <= pauses[1] < 800
    left = desk.run()
    assert (left.state, left.error_code, left.run) == ("failed", "internal_error", 3)
    assert desk.told() == [("first", 1, True), ("far", 3, False)]
    assert desk.steps[1].error == "ConnectionError: attempt 3"


def test_error_passes_at_once_without_a_retry_and_is_recorded(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    def work(run: Run) -> str:
        try:
            run.step("far", fail("gone\0 \ud800"))
        except ConnectionError:
            return "handled"
        return "missed"

    desk = Desk(make_kernel, sqlite_url, work)
    assert json.loads(desk.run().result or "") == {"of": "handled"}
    assert desk.told() == [("far", 1, False)]
    assert desk.steps[0].error.startswith("ConnectionError: gone\\0 ")


@pytest.mark.parametrize("verdict", [Reject("no_room", "full"), Retry(after=7)])
def test_verdict_in_a_step_decides_in_spite_of_its_retry(
    make_kernel: MakeKernel, sqlite_url: str, verdict: Exception
) -> None:
    def decide() -> None:
        raise verdict

    def work(run: Run) -> None:
        run.step("far", decide, retry=StepRetry(after=100))

    desk = Desk(make_kernel, sqlite_url, work)
    left = desk.run()
    assert (left.state, left.error_code) == (
        ("failed", "no_room") if isinstance(verdict, Reject) else ("pending", None)
    )
    assert desk.told() == [("far", 1, False)]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (object(), "TypeError: the result of step 'a' is of type object"),
        (float("nan"), "ValueError: the result of step 'a' is nan"),
        ("x" * 262_143, "ValueError: a step's result is at most 262144 bytes, this has 262145"),
    ],
)
def test_result_that_cannot_be_recorded_is_a_bug_and_not_tried_again(
    make_kernel: MakeKernel, sqlite_url: str, result: object, said: str
) -> None:
    desk = Desk(
        make_kernel, sqlite_url, lambda run: run.step("a", lambda: result, retry=StepRetry())
    )
    assert desk.run().error_code == "internal_error"
    assert desk.steps[0].error.startswith(said)


def test_result_may_be_as_large_as_an_orders(make_kernel: MakeKernel, database_url: str) -> None:
    text = "é" * 131_071

    def work(run: Run) -> bool:
        got = run.step("a", lambda: text)
        if run.number == 1:
            raise Retry
        return bool(got == text)

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    assert json.loads(desk.run().result or "") == {"of": True}


def in_a_savepoint(run: Run) -> None:
    with run.savepoint():
        run.step("a", lambda: None)


def twice(run: Run) -> None:
    run.step("a", lambda: None)
    run.step("a", lambda: None)


def in_a_step(run: Run) -> None:
    run.step("a", lambda: run.step("b", lambda: None))


def checkpoint_in_a_step(run: Run) -> None:
    run.step("a", lambda: run.checkpoint(1))


@pytest.mark.parametrize(
    ("work", "done"),
    [(in_a_savepoint, 0), (twice, 1), (in_a_step, 0), (checkpoint_in_a_step, 0)],
)
def test_step_is_refused_where_it_would_be_wrong(
    make_kernel: MakeKernel, sqlite_url: str, work: Callable[[Run], None], done: int
) -> None:
    def refused(run: Run) -> None:
        with pytest.raises(RuntimeError, match="step"):
            work(run)

    desk = Desk(make_kernel, sqlite_url, refused)
    assert desk.run().state == "success"
    assert sum(is_done for _, _, is_done in desk.told()) == done


@pytest.mark.parametrize("name", ["", "two words", "x" * 101, "straße", "a\n", 7, None])
def test_name_is_refused_that_no_key_could_hold(
    make_kernel: MakeKernel, sqlite_url: str, name: Any
) -> None:
    def refused(run: Run) -> None:
        for ask in (lambda: run.step(name, lambda: None), lambda: run.key(name)):
            with pytest.raises((TypeError, ValueError), match="name"):
                ask()

    desk = Desk(make_kernel, sqlite_url, refused)
    assert desk.run().state == "success"
    assert desk.told() == []


@pytest.mark.parametrize(
    "given",
    [
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": True},
        {"after": -1},
        {"after": 901},
        {"after": "5"},
        {"after": float("nan")},
    ],
)
def test_retry_of_a_step_checks_its_arguments(given: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="StepRetry"):
        StepRetry(**given)


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    retry = StepRetry(attempts=1000, after=100)
    assert [retry.pause(one) for one in (1, 2, 3, 4, 5, 999)] == [100, 200, 400, 800, 900, 900]
    assert (retry.pause(1000), StepRetry(attempts=1).pause(1)) == (None, None)


def test_an_order_has_a_thousand_steps_at_the_most(
    make_kernel: MakeKernel, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.runs.steps.MAX_STEPS", 3)

    def work(run: Run) -> None:
        for number in range(3):
            run.step(f"step-{number}", lambda: None)
        if run.number == 1:
            raise Retry
        with pytest.raises(ValueError, match="at most 3 steps"):
            run.step("one-more", lambda: None)

    desk = Desk(make_kernel, sqlite_url, work)
    desk.run()
    assert desk.run().state == "success"


def test_key_is_stable_over_runs_and_distinct_per_order_and_step(
    make_kernel: MakeKernel, database_url: str
) -> None:
    keys: list[str] = []

    def work(run: Run) -> None:
        keys.extend([run.key("a"), run.step("a", lambda: run.key("a")), run.key("b")])
        if run.number == 1:
            raise Retry

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    desk.run()
    assert keys == [*(f"{desk.order_id}/{name}" for name in "aab")] * 2
    assert all("!" <= sign <= "~" for key in keys for sign in key)
