"""`drain` ends in any case, and a bug of a handler shows where it is."""

import json
import traceback
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from kernel import Handlers, Kernel, Reject, Retry, Run, Wait
from kernel.testing import (
    BugOfHandler,
    FakeTransport,
    NotDrained,
    drain,
    order,
    poll,
)

MakeKernel = Callable[..., Kernel]
handlers = Handlers()
FAILURES: dict[str, BaseException] = {
    "reject": Reject("no_such", "there is none"),
    "leave": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
}


class Args(BaseModel):
    how: str = ""


@handlers.register("again", Args)
def again(run: Run, args: Args) -> dict[str, object]:
    raise Retry(after=0)


@handlers.register("later", Args)
def later(run: Run, args: Args) -> Wait:
    return Wait("approved")


@handlers.register("broken", Args)
def broken(run: Run, args: Args) -> dict[str, object]:
    if args.how in FAILURES:
        raise FAILURES[args.how]
    return {"share": 1 // len(args.how)}


@handlers.register("odd", Args)
def odd(run: Run, args: Args) -> dict[str, object]:
    return {"it": object()}


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def test_drain_gives_up_when_an_order_is_run_again_without_end(kernel: Kernel) -> None:
    other = order(kernel, "later", reference="REQ8")
    one = order(kernel, "again", reference="REQ7")
    with pytest.raises(NotDrained) as told:
        drain(kernel)
    said = str(told.value)
    assert f"gave up after 100 runs of order {one}; it never ends" in said
    assert f"{one} again REQ7: pending, run 100: " in said
    assert f"{other} later REQ8: waiting, run 1: waits for event approved until" in said


def test_drain_takes_as_many_runs_as_it_is_told(kernel: Kernel) -> None:
    one = order(kernel, "again")
    with pytest.raises(NotDrained, match=f"after 3 runs of order {one}"):
        drain(kernel, runs=3)


def test_drain_counts_attempts_of_a_callback_as_it_counts_runs(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    settings = {"callback_schedule": [1e-6], "transport": FakeTransport([500])}
    kernel = make_kernel(sqlite_url, handlers, **settings)
    one = order(kernel, "broken", how="reject")
    with pytest.raises(NotDrained, match=rf"{one} broken: failed.*; callback: pending, attempt 3"):
        drain(kernel, runs=3)


def test_drain_gives_up_when_what_is_due_does_not_move(kernel: Kernel) -> None:
    one = order(kernel, "broken")
    kernel.stopping.set()  # as a worker that shuts down: it begins nothing
    with pytest.raises(NotDrained, match=rf"nothing moves\.\n  {one} broken: pending, run 0: "):
        drain(kernel)


def test_drain_leaves_what_waits_or_is_due_later(kernel: Kernel) -> None:
    one = order(kernel, "later")
    assert drain(kernel) == 1
    assert poll(kernel, one)["data"]["waiting_for"] == "event:approved"


def test_drain_raises_the_bug_itself_with_its_own_frames_first(kernel: Kernel) -> None:
    one = order(kernel, "broken")
    with pytest.raises(ZeroDivisionError) as told:
        drain(kernel)
    frames = traceback.extract_tb(told.value.__traceback__)
    assert [frame.name for frame in frames][-1] == "broken"
    assert not any("/kernel/runs/" in frame.filename for frame in frames)
    assert f"order {one} has ended as internal_error" in told.value.__notes__[0]


def test_drain_has_done_all_else_when_it_raises_a_bug(kernel: Kernel) -> None:
    order(kernel, "broken")
    order(kernel, "broken", how="ab")
    with pytest.raises(ZeroDivisionError):
        drain(kernel)
    assert isinstance(kernel.transport, FakeTransport)
    assert {one.json()["status"] for one in kernel.transport.sent} == {0, -1}


def test_drain_leaves_a_bug_to_the_outcome_when_told(kernel: Kernel) -> None:
    one = order(kernel, "broken")
    drain(kernel, raise_bugs=False)
    assert poll(kernel, one)["data"]["error"]["code"] == "internal_error"


def test_result_that_is_no_json_is_raised_as_a_bug(kernel: Kernel) -> None:
    order(kernel, "odd")
    with pytest.raises(TypeError):
        drain(kernel)


@pytest.mark.parametrize("how", ["leave", "interrupt"])
def test_what_would_end_the_tests_is_told_as_a_bug(kernel: Kernel, how: str) -> None:
    order(kernel, "broken", how=how)
    with pytest.raises(BugOfHandler) as told:
        drain(kernel)
    assert told.value.__cause__ is FAILURES[how]


def test_verdict_of_a_handler_is_no_bug(kernel: Kernel) -> None:
    one = order(kernel, "broken", how="reject")
    drain(kernel)
    assert poll(kernel, one)["data"]["error"] == {"code": "no_such", "message": "there is none"}


def test_more_bugs_are_named_beside_the_first(kernel: Kernel) -> None:
    order(kernel, "broken")
    second = order(kernel, "odd")
    with pytest.raises(ZeroDivisionError) as told:
        drain(kernel)
    assert any(f"{second}: TypeError" in note for note in told.value.__notes__)
    assert json.dumps(told.value.__notes__).count("internal_error") >= 1
