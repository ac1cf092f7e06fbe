"""Two who take one name in the same moment: the second is told so, as a later one would be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from kernel.callers import keys, receiver_changes
from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.errors import Conflict
from kernel.insight.workers import asking
from kernel.pauses.adoption import ground_of
from kernel.runtime.kernel import Kernel

Act = Callable[[Kernel, Session], object]


def add_receiver(kernel: Kernel, session: Session) -> object:
    patch = ReceiverPatch(url="https://desk.example/api")
    return receiver_changes.add(session, "desk", "one", patch, ground_of(kernel))


ACTS: dict[str, tuple[str, Act]] = {
    "caller": ("kernel_callers", lambda k, s: keys.add(s, "zammad", k.clock.now())),
    "person": (
        "kernel_people",
        lambda k, s: people.add_person(s, "Ada", Role.ADMIN, k.clock.now()),
    ),
    "receiver": ("kernel_receivers", add_receiver),
}


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> Kernel:  # SQLite lets one write at a time
    made = make_kernel(mariadb_rows_url)
    with made.write_session() as session:
        keys.add(session, "desk", made.clock.now())
    return made


@contextmanager
def meanwhile(kernel: Kernel, table: str, rival: Callable[[], object]) -> Iterator[None]:
    """Have ``rival`` done, and committed, just before the first row goes into a table."""
    waiting = [rival]

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(f"INSERT INTO {table} ") and waiting:
            waiting.pop()()

    event.listen(kernel.engine, "before_cursor_execute", hear)
    yield
    event.remove(kernel.engine, "before_cursor_execute", hear)
    assert not waiting, "there was no such row"


@pytest.mark.parametrize("what", ACTS)
def test_second_of_two_is_told_that_the_name_is_taken(kernel: Kernel, what: str) -> None:
    table, act = ACTS[what]

    def do() -> None:
        with kernel.write_session() as session:
            act(kernel, session)

    with meanwhile(kernel, table, do), pytest.raises(Conflict) as first:
        do()
    with pytest.raises(Conflict) as later:
        do()
    assert first.value.message == later.value.message


def test_host_that_two_drain_at_once_is_drained(kernel: Kernel) -> None:
    with meanwhile(kernel, "kernel_drained_hosts", lambda: asking.drain(kernel, "web-1")):
        assert asking.drain(kernel, "web-1") == 0
    with kernel.read_session() as session:
        assert [one.host for one in asking.drained_hosts(session)] == ["web-1"]
