"""Run what is due until nothing is, within bounds; a bug of a handler shows its own traceback."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from kernel.delivery.attempt import attempt
from kernel.delivery.claim import BATCH, claim_due, due_lanes
from kernel.delivery.record import record
from kernel.orders.due import HINTS, due_orders
from kernel.orders.gates.waiting import end_wait, ended_waits
from kernel.orders.gates.windows import close_window, ended_windows
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing.standing import how_they_stand

# How often one order runs, or one callback is attempted, in one `drain` before it gives up.
RUNS = 100
# Runs and attempts of all together: for handlers that make ever new orders.
ALL = 100 * RUNS
# Passes in which orders are due and nothing moves: an order that has begun to wait is not due in
# the next one.
STILL = 2
_PACKAGE = str(Path(__file__).parents[1])


class NotDrained(AssertionError):
    """`drain` gave up: its message says which orders and callbacks still stand where, and why."""


class BugOfHandler(AssertionError):
    """A handler raised what would end the tests (SystemExit, KeyboardInterrupt): its cause."""


def drain(kernel: Kernel, *, raise_bugs: bool = True, runs: int = RUNS) -> int:
    """Run due orders and send due callbacks until none is due; return the number of both.

    Orders whose window has ended expire first, and are counted; those whose wait has ended go on.
    Orders and callbacks due later stay: move the clock with ``kernel.clock.shift(seconds)``.

    What a handler raises that is a bug (its order ends as ``internal_error``) is raised here, as it
    is, when all else is done: assert on it with `pytest.raises`, or leave it with
    ``raise_bugs=False``. Of several, the first. Raises NotDrained when one order has run ``runs``
    times, when one callback was attempted as often, or when what is due does not move.
    """
    __tracebackhide__ = True
    with _heard(kernel) as bugs:
        try:
            done = _drained(kernel, runs)
        except NotDrained as error:
            raise error from (bugs[0][1] if bugs and raise_bugs else None)
    if bugs and raise_bugs:
        raise _to_raise(kernel, bugs)
    return done


def _drained(kernel: Kernel, runs: int) -> int:
    seen = Counter[str]()
    stuck, still = frozenset[str](), 0
    while True:
        closed = [one for one in ended_windows(kernel, HINTS) if close_window(kernel, one)]
        woken = [one for one in ended_waits(kernel, HINTS) if end_wait(kernel, one)]
        due = due_orders(kernel, HINTS)
        ran = [one for one in due if execute(kernel, one) is not None]
        sent = _send(kernel)
        if not (closed or woken or due or sent):
            return seen.total()
        seen.update(f"runs of order {one}" for one in [*closed, *ran])
        seen.update(f"attempts of callback {one}" for one in sent)
        for what, times in seen.most_common(1):
            if times >= runs or seen.total() >= ALL:
                raise NotDrained(_gave_up(kernel, what, times))
        moved = closed or woken or ran or sent
        still = 0 if moved or stuck != frozenset(due) else still + 1
        stuck = frozenset(due)
        if still >= STILL:
            raise NotDrained(f"drain: nothing moves.{how_they_stand(kernel, due)}")


def _send(kernel: Kernel) -> list[str]:
    """Attempt the callbacks that are due; return their ids."""
    shares = dict.fromkeys(due_lanes(kernel)[:BATCH], BATCH)
    due = claim_due(kernel, shares).deliveries
    if finished := [attempt(kernel, one) for one in due]:
        record(kernel, finished)
    return [one.id for one in due]


def _gave_up(kernel: Kernel, what: str, times: int) -> str:
    standing = how_they_stand(kernel, [what.rpartition(" ")[2]])
    return f"drain gave up after {times} {what}; it never ends.{standing}"


@contextmanager
def _heard(kernel: Kernel) -> Iterator[list[tuple[str, BaseException]]]:
    """Yield a list to which each bug of a handler is added, with the id of its order."""
    bugs: list[tuple[str, BaseException]] = []

    def hear(order_id: str, error: BaseException) -> None:
        bugs.append((order_id, error))

    kernel.on_bug.append(hear)
    try:
        yield bugs
    finally:
        kernel.on_bug.remove(hear)


def _to_raise(kernel: Kernel, bugs: list[tuple[str, BaseException]]) -> BaseException:
    """Return the first bug, with notes on what it has come to, from its handler's own frame on."""
    (order_id, error), *others = bugs
    ids: Iterable[Any] = dict.fromkeys(one for one, _ in bugs)
    error.add_note(f"order {order_id} has ended as internal_error: a bug in its handler")
    if others:
        error.add_note("so have others: " + "; ".join(f"{i}: {e!r:.200}" for i, e in others[:9]))
    error.add_note(how_they_stand(kernel, list(ids)).strip())
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        told = BugOfHandler(f"a handler raised {error!r:.200}")
        told.__cause__ = error
        return told
    return error.with_traceback(_of_handler(error.__traceback__))


def _of_handler(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame that is not kernel's on; all of it if none is."""
    one = trace
    while one is not None and one.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        one = one.tb_next
    return one or trace
