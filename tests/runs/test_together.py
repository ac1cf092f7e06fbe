"""Short orders that share a commit: what becomes of each of them."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select

from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.errors import Reject, Retry
from kernel.handlers import Run
from kernel.orders.cancel import cancel
from kernel.orders.gates.shares import at_work
from kernel.runs.execute import execute_each
from kernel.runs.leases import renew_leases
from kernel.runs.together import company, which
from kernel.runtime.kernel import Kernel
from tests.support.factories import order
from tests.support.handlers.misbehaving import write
from tests.support.together import DONE, Message, commits_of

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def message(make_kernel: MakeKernel, database_url: str) -> Message:
    """A message of ten short orders."""
    return Message(make_kernel, database_url)


def test_ten_orders_end_in_one_commit(message: Message) -> None:
    commits = commits_of(message.kernel)
    ends = message.execute()
    assert [end.order_id for end in ends] == message.ids
    assert len(commits) == 2, "the claim of all, and the end of all"
    assert message.states == [DONE] * 10
    assert message.written == message.names()
    results = [order(message.kernel, one).result for one in message.ids]
    assert results == [f'{{"name":"{n}"}}' for n in range(10)]
    assert [end.owed is not None for end in ends] == [True] * 10
    assert message.kernel.running == {}


def test_outcomes_differ_when_one_is_rejected_and_one_has_a_bug(message: Message) -> None:
    def reject(run: Run) -> None:
        raise Reject("no_room", "there is no room")

    def fail(run: Run) -> None:
        raise RuntimeError("a bug")

    def later(run: Run) -> None:
        raise Retry(after=60)

    message.does = {"3": reject, "5": fail, "7": later}
    commits = commits_of(message.kernel)
    ends = message.execute()
    assert [end.order_id for end in ends] == message.ids
    written_after = 2 * (message.kernel.engine is message.kernel.engines.running)
    assert len(commits) == 2 + written_after, "they do not undo the others"
    failed, again = ("failed", 1), ("pending", 1)
    expected = [DONE] * 3 + [failed, DONE, failed, DONE, again, DONE, DONE]
    assert message.states == expected
    assert message.written == message.names(3, 5, 7)
    codes = [order(message.kernel, message.ids[n]).error_code for n in (3, 5)]
    assert codes == ["no_room", "internal_error"]
    assert message.called == message.names(), "each was called once"
    assert message.counted == 1, "the retry"


def test_first_and_last_may_be_rejected(message: Message) -> None:
    def reject(run: Run) -> None:
        raise Reject("no_room", "there is no room")

    message.does = dict.fromkeys(("0", "9"), reject)
    message.execute()
    assert message.written == message.names(0, 9)
    assert [state for state, _ in message.states] == ["failed", *["success"] * 8, "failed"]


def test_nothing_is_written_when_all_are_rejected(message: Message) -> None:
    def reject(run: Run) -> None:
        raise Reject("no_room", "there is no room")

    message.does = dict.fromkeys(message.names(), reject)
    message.execute()
    assert (message.written, message.states) == ([], [("failed", 1)] * 10)


def test_all_retry_without_a_commit_of_work(message: Message) -> None:
    def later(run: Run) -> None:
        raise Retry(after=60)

    message.does = dict.fromkeys(message.names(), later)
    ends = message.execute()
    assert [end.again_in for end in ends] == [60.0] * 10
    assert (message.written, message.states) == ([], [("pending", 1)] * 10)


def test_a_cancel_that_is_noted_meanwhile_loses_to_the_outcome(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    message = Message(make_kernel, main_rows_url)

    def cancel_second(run: Run) -> dict[str, Any]:
        cancel(message.kernel, 1, message.ids[1])
        return {}

    message.does = {"4": cancel_second}
    message.execute()
    assert (message.states, message.written) == ([DONE] * 10, message.names())


def test_a_slow_handler_does_not_hold_the_outcomes_of_others(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "TOGETHER_SECONDS", 0.05)
    since = [0.0]
    monkeypatch.setattr(company, "monotonic", lambda: since[0])

    def dawdle(run: Run) -> dict[str, Any]:
        since[0] += 0.06
        return {}

    message.does = {"4": dawdle}
    executing = execute_each(message.kernel, message.ids)
    next(executing)
    assert message.written == ["0", "1", "2", "3", "4"]
    assert message.states == [DONE] * 5 + [("running", 1)] * 5
    commits = commits_of(message.kernel)
    list(executing)
    assert (message.states, message.written) == ([DONE] * 10, message.names())
    assert len(commits) == 1, "the others share one, too"


def test_what_has_not_begun_is_given_back_when_the_message_takes_long(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = [0.0]
    monkeypatch.setattr(company, "monotonic", lambda: since[0])

    def dawdle(run: Run) -> dict[str, Any]:
        since[0] += 1e9
        return {}

    message.does = {"4": dawdle}
    ends = message.execute()
    assert message.states == [DONE] * 5 + [("pending", 1)] * 5
    assert [end.again_in for end in ends] == [None] * 5 + [0.0] * 5
    assert (message.counted, message.kernel.running) == (0, {})


def test_what_has_not_begun_is_given_back_when_the_worker_stops(message: Message) -> None:
    def stop(run: Run) -> dict[str, Any]:
        message.kernel.stopping.set()
        return {}

    message.does = {"4": stop}
    message.execute()
    assert message.states == [DONE] * 5 + [("pending", 1)] * 5
    assert (message.written, message.counted) == (message.names()[:5], 0)
    assert message.kernel.running == {}


def test_a_savepoint_of_a_handler_stands_and_falls_alone(message: Message) -> None:
    def part(run: Run) -> dict[str, Any]:
        with suppress(ValueError), run.savepoint():
            write(run, "undone")
            raise ValueError
        run.session.begin_nested()
        write(run, "kept")
        return {}

    message.does = {"4": part}
    message.execute()
    assert message.states == [DONE] * 10
    assert message.written == [*message.names(), "kept"]
    assert message.called == message.names(), "each once"


def test_a_handler_that_writes_by_the_orm_and_fails_undoes_itself_alone(message: Message) -> None:
    def orm(run: Run) -> dict[str, Any]:
        run.session.add(Caller(name="twice", key_hash="a" * 64))
        run.session.flush()
        raise Reject("no", "no")

    message.does = {"4": orm}
    message.execute()
    assert message.written == message.names(4)


def test_orders_of_other_kinds_run_as_before(message: Message) -> None:
    """Of two tags that share commits, of one that does not, with a key, a second run, a share."""
    message.ids[1] = message.make("1", "other")
    message.ids[3] = message.make("3", "long")
    message.ids[5] = message.make("5", run=1)
    message.ids[7] = message.make("7", callback_url="")
    commits = commits_of(message.kernel)
    ends = message.execute()
    assert message.states == [*[DONE] * 5, ("success", 2), *[DONE] * 4]
    assert message.written == message.names()
    assert len(commits) == 4, "one claim, one end of eight, and those of two"
    owed = {end.order_id: end.owed is not None for end in ends}
    assert owed == {one: one != message.ids[7] for one in message.ids}


def test_the_callbacks_are_those_of_single_orders(message: Message) -> None:
    """Each row of the outbox, but for ids and times, is as an order alone would leave it."""
    message.execute()
    alone = message.make("0")
    list(execute_each(message.kernel, [alone]))
    with message.kernel.read() as connection:
        rows = connection.execute(select(DELIVERIES)).mappings().all()
    seen = {row["order_id"]: dict(row) for row in rows}
    assert seen.keys() == {*message.ids, alone}
    bodies = [json.loads(seen[one].pop("body")) for one in (message.ids[0], alone)]
    for body, one in zip(bodies, (message.ids[0], alone), strict=True):
        assert body["data"].pop("order_id") == one
        body["data"].pop("finished_at", None), body["data"].pop("created_at", None)
    assert bodies[0] == bodies[1]
    for name in ("id", "order_id", "created_at", "next_attempt_at"):
        seen[message.ids[0]].pop(name), seen[alone].pop(name)
    assert seen[message.ids[0]] == seen[alone]


def test_leases_of_all_are_renewed_and_none_is_late_for_another(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    message = Message(make_kernel, main_rows_url)
    seen: list[Any] = []

    def look(run: Run) -> dict[str, Any]:
        runs = message.kernel.running.values()
        seen.append((len(runs), [one.order_id for one in runs if not one.beside]))
        with message.kernel.read() as connection:
            assert at_work(connection).processes == 1, "it takes ten, not a hundred"
        renew_leases(message.kernel, list(runs))
        return {}

    message.does = {"4": look}
    message.execute()
    assert seen == [(10, [message.ids[4]])]
    assert message.states == [DONE] * 10


def test_next_orders_are_claimed_with_the_end_and_given_back_when_nobody_runs_them(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(which, "MOST", 4)
    executing = execute_each(message.kernel, message.ids)
    next(executing)
    assert message.states == [DONE] * 4 + [("running", 1)] * 4 + [("pending", 0)] * 2
    executing.close()  # type: ignore[attr-defined]
    assert message.states == [DONE] * 4 + [("pending", 1)] * 4 + [("pending", 0)] * 2
    assert message.counted == 0
