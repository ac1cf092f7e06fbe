"""`Reject` and `Retry`: checked when they are made, and what becomes of the order."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kernel.errors import Reject, Retry, TimeLimit
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named

MakeKernel = Callable[..., Kernel]

WRONG: list[tuple[Callable[[], Exception], type[Exception], str]] = [
    (lambda: Retry("5"), TypeError, "in seconds, not str"),  # type: ignore[arg-type]
    (lambda: Retry(timedelta(minutes=1)), TypeError, r"\.total_seconds\(\)"),  # type: ignore[arg-type]
    (lambda: Retry(True), TypeError, "not bool"),
    (lambda: Retry(float("inf")), ValueError, "30 days"),
    (lambda: Retry(float("nan")), ValueError, "30 days"),
    (lambda: Retry(-1), ValueError, "30 days"),
    (lambda: Retry(30 * 86_400 + 1), ValueError, "30 days"),
    (lambda: Retry(10**400), ValueError, "30 days"),
    (lambda: Retry(max_tries=0), ValueError, "at least 1"),
    (lambda: Retry(max_tries=2.0), TypeError, "not float"),  # type: ignore[arg-type]
    (lambda: Retry(max_tries=True), TypeError, "not bool"),
    (lambda: Retry(reason=KeyError("x")), TypeError, "not KeyError"),  # type: ignore[arg-type]
    (lambda: Reject(404, "not there"), TypeError, "code is a str, not int"),  # type: ignore[arg-type]
    (lambda: Reject("x", ValueError("y")), TypeError, "message is a str"),  # type: ignore[arg-type]
    (lambda: Reject("Not there", "y"), ValueError, "a-z, 0-9 and _"),
    (lambda: Reject("", "y"), ValueError, "a-z, 0-9 and _"),
    (lambda: Reject("no_room\n", "y"), ValueError, "a-z, 0-9 and _"),
    (lambda: Reject("x" * 65, "y"), ValueError, "a-z, 0-9 and _"),
]


@pytest.mark.parametrize(("make", "kind", "words"), WRONG, ids=range(len(WRONG)))
def test_argument_that_cannot_be_carried_out_is_refused_in_words(
    make: Callable[[], Exception], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_verdict_holds_what_it_was_given() -> None:
    retry = Retry(30 * 86_400, max_tries=3, reason="busy")
    assert (retry.after, retry.max_tries, retry.reason) == (2_592_000, 3, "busy")
    assert (Retry().after, Retry(0).after, Retry(0.5).after) == (None, 0, 0.5)
    assert Reject("x" * 64, "").message == "x" * 64


class Unset(Retry):
    """A subclass that leaves out the base's constructor."""

    def __init__(self) -> None:
        pass


class Nameless(Reject):
    """A subclass that leaves out the base's constructor, so it has no code."""

    def __init__(self) -> None:
        pass


class Unwilling(Retry):
    """A subclass whose check ends like a process."""

    def check(self) -> None:
        if self.args:
            raise KeyboardInterrupt


class MuteRetry(Retry):
    """A subclass whose text takes what its constructor has not set."""

    def __str__(self) -> str:
        return f"{self.host} is away"  # type: ignore[attr-defined]


class MuteLimit(TimeLimit):
    """The same of the soft limit, which a handler may raise itself."""

    def __str__(self) -> str:
        return f"{self.host} is slow"  # type: ignore[attr-defined]


def changed() -> Exception:
    """Return a verdict that was changed after it was made."""
    retry = Retry(5)
    retry.after = "5"  # type: ignore[assignment]
    return retry


MISTAKES = [*(make for make, *_ in WRONG), Nameless, changed, lambda: Unwilling(5)]


def run_with(
    make_kernel: MakeKernel, url: str, make: Callable[[], BaseException]
) -> tuple[Any, ...]:
    """Run an order once whose handler raises what ``make`` returns, and return its end."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        raise make()

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    end = execute(kernel, order_id)
    assert (end is not None, kernel.running) == (True, {})
    found = order(kernel, order_id)
    return found.state, found.error_code, found.run, end and end.again_in


@pytest.mark.parametrize("make", MISTAKES, ids=range(len(MISTAKES)))
def test_mistake_in_a_verdict_is_a_bug_and_costs_one_run(
    make_kernel: MakeKernel, sqlite_url: str, make: Callable[[], Exception]
) -> None:
    assert run_with(make_kernel, sqlite_url, make) == ("failed", "internal_error", 1, None)


def test_verdict_of_a_subclass_without_a_constructor_has_the_defaults(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    assert run_with(make_kernel, sqlite_url, Unset) == ("pending", None, 1, 5.0)


@pytest.mark.parametrize("make", [MuteRetry, MuteLimit])
def test_verdict_whose_text_cannot_be_read_holds_all_the_same(
    make_kernel: MakeKernel, sqlite_url: str, make: Callable[[], BaseException]
) -> None:
    state, error_code, run, again_in = run_with(make_kernel, sqlite_url, make)
    assert (state, error_code, run) == ("pending", None, 1)
    assert again_in is not None


def test_order_fails_after_as_many_retries_as_its_handler_allows(
    make_kernel: MakeKernel, database_url: str
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        raise Retry(max_tries=3, reason="the line is busy")

    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    pauses = []
    for pause in (5, 10, 20, None):
        end = execute(kernel, order_id)
        assert end is not None
        pauses.append(end.again_in)
        kernel.clock.shift(pause or 0)
    assert pauses == [5, 10, 20, None]
    found = order(kernel, order_id)
    assert (found.state, found.error_code, found.run) == ("failed", "too_many_retries", 4)
    assert found.message.endswith(": the line is busy")
