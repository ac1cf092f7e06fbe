"""The turn to sweep: one process per interval, even if another one has frozen with the row."""

from collections.abc import Callable

from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from kernel.db.tables.service import Sweep
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.turn import next_turn
from tests.support.waiting import wait_until


def test_turn_is_taken_once_per_interval_when_many_ask(kernel: Kernel) -> None:
    for _ in range(2):
        assert [next_turn(kernel) == 0 for _ in range(3)] == [True, False, False]
        kernel.clock.shift(6)


def test_turn_is_said_to_come_when_the_interval_ends(kernel: Kernel) -> None:
    next_turn(kernel)
    kernel.clock.shift(3)
    assert 1 < next_turn(kernel) <= kernel.settings.sweep_seconds - 3


def test_turn_is_taken_when_a_frozen_process_holds_the_row(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel, frozen = make_kernel(main_rows_url), make_kernel(main_rows_url)
    assert next_turn(kernel) == 0
    kernel.clock.shift(60)
    with frozen.engine.connect() as connection:
        connection.execute(update(Sweep).values(swept_at=kernel.clock.now()))
        waits = kernel.dialect
        ended = 2 * waits.idle_transaction_seconds + waits.lock_wait_seconds
        wait_until(lambda: _taken(kernel), ended)
        connection.invalidate()


def _taken(kernel: Kernel) -> bool:
    try:
        return next_turn(kernel) == 0
    except OperationalError:  # a lock wait timeout
        return False
