"""The row of a process, from its first heartbeat to its end."""

from collections.abc import Callable

from sqlalchemy import event

from kernel.callers import receiver_changes
from kernel.delivery.breakers import BREAK_AFTER, ReceiverPath, Target
from kernel.delivery.first_attempt import Desk
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.look import look
from kernel.insight.trends import marks
from kernel.insight.workers import processes
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.services.heartbeat import HeartbeatKeeper
from tests.support.hints import FakeHints
from tests.support.ticketing import make_receiver, owe, send_due

ORIGIN = "https://tickets.example:443"
BAD, GOOD = "https://tickets.example/bad", "https://tickets.example/good"


def desk(kernel: Kernel) -> Desk:
    return Dispatcher(kernel, FakeHints()).desk


def test_process_is_there_from_its_first_heartbeat_until_it_leaves(kernel: Kernel) -> None:
    keeper = HeartbeatKeeper(kernel, "dispatcher", desk(kernel))
    keeper.leave()
    assert processes(kernel) == []
    keeper.run()
    keeper.run()
    assert [one.kind for one in processes(kernel)] == ["dispatcher"]
    keeper.leave()
    assert processes(kernel) == []


def test_heartbeat_is_one_statement_that_commits_itself(
    mariadb_rows_url: str, make_kernel: Callable[..., Kernel]
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    keeper = HeartbeatKeeper(kernel, "dispatcher", desk(kernel))
    for _ in range(2):  # the second looks whether the host was drained when the first was written
        keeper.run()
    said: list[str] = []
    event.listen(kernel.engines.single, "before_cursor_execute", lambda *all_: said.append(all_[2]))
    for one in ("begin", "commit"):
        event.listen(kernel.engines.writing, one, lambda _: said.append("a transaction"))
    keeper.run()
    assert [one.split()[0] for one in said] == ["UPDATE"]


def causes(kernel: Kernel, keeper: HeartbeatKeeper) -> dict[str, tuple[str, str]]:
    """Write a heartbeat; return the conditions by their keys, each with its subject and cause."""
    keeper.run()
    return {one.key: (one.subject, one.cause) for one in judge(look(kernel, lambda: 0))}


def answer(kernel: Kernel, url: str, with_: int | str, number: int = BREAK_AFTER) -> None:
    """Send callbacks that the receiver answers so, and what is due beside them."""
    kernel.transport.answers = [with_]  # type: ignore[attr-defined]
    for _ in range(number):
        owe(kernel, url)
    assert len(send_due(kernel)) >= number


def test_receiver_that_answers_errors_is_failing_until_it_takes_a_callback(kernel: Kernel) -> None:
    keeper = HeartbeatKeeper(kernel, "worker", desk(kernel))
    make_receiver(kernel, "itsm", BAD)
    answer(kernel, BAD, 503, BREAK_AFTER - 1)
    assert "receiver_failing" not in causes(kernel, keeper)
    answer(kernel, BAD, 503, 1)
    assert causes(kernel, keeper)["receiver_failing"] == (ORIGIN, "http_5xx")
    kernel.clock.shift(11)
    assert causes(kernel, keeper)["receiver_failing"] == (ORIGIN, "http_5xx"), "it is probed next"
    kernel.clock.shift(600)
    answer(kernel, BAD, 200, 1)
    assert "receiver_failing" not in causes(kernel, keeper)


def test_time_in_which_a_receiver_failed_is_marked_for_it_alone(kernel: Kernel) -> None:
    keeper = HeartbeatKeeper(kernel, "worker", desk(kernel))
    bad, good = (make_receiver(kernel, url[-4:].strip("/"), url) for url in (BAD, GOOD))
    answer(kernel, BAD, 503)
    answer(kernel, GOOD, 200, 1)
    keeper.run()
    marks.note_breakers(kernel)
    with kernel.read_session() as session:
        target, since = Target(1, ORIGIN), kernel.clock.now()
        paths = [ReceiverPath(target, one) for one in (bad, good)]
        found = [marks.breakers(session, since, [target, one]) for one in paths]
    assert [[one.subject for one in each] for each in found] == [[ORIGIN], []]


def test_removed_receiver_is_failing_no_longer(kernel: Kernel) -> None:
    keeper = HeartbeatKeeper(kernel, "worker", desk(kernel))
    make_receiver(kernel, "itsm", BAD)
    answer(kernel, BAD, 503)
    assert "receiver_failing" in causes(kernel, keeper)
    with kernel.write_session() as session:
        receiver_changes.remove(session, "anonymous", "itsm", kernel.clock.now())
    assert "receiver_failing" not in causes(kernel, keeper)
