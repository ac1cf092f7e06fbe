"""A row that is changed if it is there and made if not, by several at once: there is one of it."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import SelectTag
from kernel.db.transactions import rowcount
from kernel.orders.submit import submit
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.turn import next_turn
from tests.support.factories import ANYBODY, make_order, request, rows
from tests.support.rivals import at_once

MakeKernel = Callable[..., Kernel]
RIVALS = 6


@pytest.fixture
def rivals(make_kernel: MakeKernel, database_url: str) -> list[Kernel]:
    """Kernels of several processes on one database."""
    return [make_kernel(database_url) for _ in range(RIVALS)]


def test_row_counts_as_matched_when_it_is_changed_to_what_it_was(kernel: Kernel) -> None:
    order_id = make_order(kernel, message="same")
    same = update(ORDERS).where(ORDERS.c.id == order_id).values(message="same")
    with kernel.write() as connection:
        assert rowcount(connection.execute(same)) == 1
        assert rowcount(connection.execute(same.where(ORDERS.c.state == "failed"))) == 0


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_second_of_two_inserts_waits_for_how_the_first_one_ends(kernel: Kernel, end: str) -> None:
    row = insert(SelectTag).values(tag="a", seen_at=kernel.clock.now())
    said = threading.Event()

    def second() -> str:
        try:
            with kernel.write() as connection:
                event.listen(connection, "before_cursor_execute", lambda *_: said.set())
                connection.execute(row)
        except IntegrityError:
            return "refused"
        return "stored"

    with kernel.engine.connect() as connection:
        connection.execute(row)

        def first() -> None:
            if kernel.dialect.is_remote:  # a file's second writer waits with its BEGIN
                assert said.wait(5)
            getattr(connection, end)()

        outcome, _ = at_once(second, first)
    assert outcome == {"commit": "refused", "rollback": "stored"}[end]
    with kernel.read() as connection:
        assert connection.scalars(select(SelectTag.tag)).all() == ["a"]


def test_order_is_stored_once_when_its_key_comes_several_times_at_once(
    rivals: list[Kernel],
) -> None:
    works = [partial(submit, kernel, ANYBODY, request(), "same") for kernel in rivals]
    accepted = at_once(*works)
    assert len({one.order_id for one in accepted}) == 1
    assert len(rows(rivals[0], ORDERS)) == 1


def test_tag_is_noted_once_when_several_note_it_at_once(rivals: list[Kernel]) -> None:
    at_once(*(partial(note_tags, kernel) for kernel in rivals))
    noted = [row.tag for row in rows(rivals[0], SelectTag.__table__)]
    assert sorted(noted) == sorted(rivals[0].handlers)


@pytest.mark.parametrize("paused", [{"host": "a.example"}, {"caller_id": 1}])
def test_pause_is_one_when_several_make_it_at_once(
    rivals: list[Kernel], paused: dict[str, Any]
) -> None:
    at_once(*(partial(pause, kernel, Subject(**paused)) for kernel in rivals))
    assert len(rows(rivals[0], PAUSES)) == 1


@pytest.mark.parametrize("turn", ["first", "later"])
def test_turn_is_ones_when_several_ask_for_it_at_once(rivals: list[Kernel], turn: str) -> None:
    if turn == "later":
        assert next_turn(rivals[0]) == 0
        for kernel in rivals:
            kernel.clock.shift(60)
    turns = at_once(*(partial(next_turn, kernel) for kernel in rivals))
    assert [one for one in turns if one == 0] == [0]
