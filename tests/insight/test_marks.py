"""What is marked on charts: starts, breakers, pauses."""

import platform
from datetime import timedelta

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.delivery.breakers import Target
from kernel.insight.trends import marks
from kernel.insight.trends.marks import Marked, Sign
from kernel.insight.trends.rows import HOUR, KEEP
from kernel.insight.workers import Heartbeat
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.sweep import sweep

SECOND = timedelta(seconds=1)
A, B = "https://a.example:443", "https://b.example:443"


def found(kernel: Kernel, ago: timedelta = HOUR) -> list[Marked]:
    with kernel.read_session() as session:
        return marks.marks(session, kernel.clock.now() - ago)


def started(kernel: Kernel, host: str, process: Heartbeat | None = None) -> bool:
    """A process of a host starts, unless it is named, and is seen."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        (process or Heartbeat("worker", now)).note(session, now, [], [])
        return marks.note_start(session, host, now)


def test_start_of_a_host_is_marked_once_when_its_processes_start_together(kernel: Kernel) -> None:
    host = platform.node()
    assert [started(kernel, host) for _ in range(3)] == [True, False, False]
    (one,) = found(kernel)
    assert one.sign is Sign.START
    assert one.subject.endswith(f" on {host}")
    assert one.subject[0].isdigit(), "the version"


def test_start_is_not_marked_when_a_process_takes_the_place_of_another(kernel: Kernel) -> None:
    host, sibling = platform.node(), Heartbeat("worker", kernel.clock.now())
    assert started(kernel, host, sibling)
    kernel.clock.shift(600)
    with kernel.write_session() as session:
        sibling.note(session, kernel.clock.now(), [], [])
    assert not started(kernel, host)
    assert started(kernel, "other.example"), "the first start there"


def test_breaker_is_marked_from_open_to_closed_when_processes_tell_of_it(kernel: Kernel) -> None:
    process = Heartbeat("worker", kernel.clock.now())

    def beat(broken: list[str], probing: list[str]) -> None:
        with kernel.write_session() as session:
            process.note(session, kernel.clock.now(), [], broken, probing)  # type: ignore[arg-type]
        marks.note_breakers(kernel)

    beat([f"{A}#1"], [])
    opened = kernel.clock.now()
    kernel.clock.shift(60)
    beat([], [f"{A}#1"])
    (one,) = found(kernel)
    assert (one.sign, one.subject, one.caller, one.goes_on) == (
        *(Sign.BREAKER, A, "anonymous"),
        True,
    ), "a breaker that probes has not closed"
    beat([f"{B}#1"], [])
    both = {one.subject: one for one in found(kernel)}
    assert not both[A].goes_on
    assert both[A].until is not None
    assert both[A].until - both[A].at >= timedelta(seconds=59)
    assert abs(both[A].at - opened) < 10 * SECOND
    with kernel.read_session() as session:
        of_a = marks.breakers(session, opened - HOUR, [Target(1, A)])
        later = marks.breakers(session, kernel.clock.now() + SECOND, [Target(1, A)])
    assert ([one.subject for one in of_a], later) == ([A], [])


def test_breaker_is_closed_when_its_process_is_gone(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        Heartbeat("worker", kernel.clock.now()).note(
            session,
            kernel.clock.now(),
            [],
            [f"{A}#1"],  # type: ignore[list-item]
        )
    sweep(kernel, rescue=False)
    assert found(kernel)[0].goes_on
    kernel.clock.shift(700)
    sweep(kernel, rescue=False)
    assert not found(kernel)[0].goes_on


def test_pauses_are_marked_with_who_and_why_when_people_made_them(kernel: Kernel) -> None:
    by = By(Actor("Ada", "cli"), "maintenance")
    pause(kernel, Subject(host="a.example"), by=by)
    resume(kernel, Subject(host="a.example"), by=by)
    after, before = found(kernel)
    assert (before.sign, after.sign) == (Sign.PAUSE, Sign.RESUME)
    assert (before.subject, before.by, before.reason) == ("host a.example", "Ada", "maintenance")


def test_old_marks_are_forgotten(kernel: Kernel) -> None:
    assert started(kernel, "here.example")
    kernel.clock.shift((KEEP[HOUR] + HOUR).total_seconds())
    marks.forget(kernel)
    assert found(kernel, timedelta(days=99)) == []
