"""Two who run the same order again in the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from kernel.db.tables.operating.bulk import RERUNS
from kernel.runs.reruns import AlreadyRerun, note_rerun
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, rows
from tests.support.waiting import wait_until


def test_second_of_two_is_told_that_the_first_was_faster(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    """Neither has seen the other's row; the second waits for the first one's commit."""
    kernel = make_kernel(main_rows_url)
    old, first, second = (make_order(kernel) for _ in range(3))
    written: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"INSERT INTO {RERUNS.name}"):
            written.append(statement)

    def note(new_id: str) -> None:
        with kernel.write() as connection:
            note_rerun(connection, old, new_id, kernel.clock.sql())

    with ThreadPoolExecutor(1) as other:
        with kernel.write() as connection:
            event.listen(connection.engine, "before_cursor_execute", hear)
            note_rerun(connection, old, first, kernel.clock.sql())
            late = other.submit(note, second)
            wait_until(lambda: len(written) == 2)
        with pytest.raises(AlreadyRerun):
            late.result()
    assert [row.new_id for row in rows(kernel, RERUNS)] == [first]
