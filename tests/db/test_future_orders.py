"""100,000 orders that open tomorrow or wait for events: what they cost, by MariaDB's counters."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from kernel.db.tables.gates import Has
from kernel.insight.conditions import look
from kernel.insight.trends import minutes
from kernel.orders.cancel import cancel
from kernel.orders.due import due_soon, next_orders
from kernel.orders.gates.events import Told, tell
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.sweep import run_jobs, sweep_jobs
from tests.db.test_rows_read import rows_read
from tests.support.factories import ANYBODY, make_order, order, request, sweep_for
from tests.support.hints import FakeHints
from tests.support.queries.filled import new_kernel
from tests.support.queries.plans import FEW

MANY = 100_000
# Read some hundred rows of any table (test_minutes.py has it), and count up to a bound.
ELSEWHERE = {"counts of minutes": minutes.SAMPLE, "conditions": 3 * look.LIMIT}
IDS = "0199aaaa-0000-7000-8000-0000000"
ID = "CONCAT('0199aaaa-0000-7000-8000-', LPAD(seq, 12, '0'))"
TOMORROW = "UTC_TIMESTAMP(6) + INTERVAL 86400 + seq SECOND"
OPENS = f"{TOMORROW}, {TOMORROW} + INTERVAL 1 HOUR"


def orders(state: str, window: str, gates: str) -> str:
    """Return the statement that inserts so many orders."""
    return f"""INSERT INTO kernel_orders (id, caller_id, select_tag, args, callback_url,
        fingerprint, created_at, run, checkpoint, crashes,
        state, run_after, not_before, not_after, gates)
    SELECT {ID}, 1, 'create_project', '{{}}', '', '', UTC_TIMESTAMP(6), 0, 0, 0,
        '{state}', {TOMORROW}, {window}, {gates} FROM seq_1_to_{MANY}"""


# The orders, and what is known of them beside their rows.
KINDS = {
    "future": (
        orders("pending", OPENS, "NULL"),
        """INSERT INTO kernel_gates (order_id, caller_id, opens_at, closes_at)
        SELECT id, caller_id, not_before, not_after FROM kernel_orders""",
    ),
    "waiting": (
        orders("waiting", "NULL, NULL", str(int(Has.WAITED))),
        f"""INSERT INTO kernel_gates (order_id, caller_id, waiting_for, waiting_since, wakes_at)
        SELECT {ID}, 1, CONCAT('event:told-', seq % 1000), UTC_TIMESTAMP(6),
        {TOMORROW} FROM seq_1_to_{MANY}""",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_orders_that_cannot_begin_cost_nothing(mariadb_url: str, kind: str) -> None:
    with closing(new_kernel(mariadb_url)) as kernel:
        with kernel.write() as connection:
            connection.execute(text("SET SESSION foreign_key_checks = 0, unique_checks = 0"))
            for statement in (*KINDS[kind], "ANALYZE TABLE kernel_orders, kernel_gates"):
                connection.execute(text(statement))
        due, other = make_order(kernel), make_order(kernel)
        assert_sweep_reads_few(kernel, due, other)
        stages: dict[str, Callable[[], Any]] = {
            "submit": partial(submit, kernel, ANYBODY, request()),
            "turns": partial(next_orders, kernel, 10, 1),
            "run": partial(execute, kernel, due),
            "cancel": partial(cancel, kernel, 1, f"{IDS}50000"),
        }
        if kind == "waiting":
            stages["tell"] = partial(tell, kernel, f"{IDS}70000", Told("told-0"))
        read = {stage: rows_read(kernel, work) for stage, work in stages.items()}
        assert {stage: rows for stage, rows in read.items() if rows > FEW} == {}
        assert order(kernel, due).state == "success"
        if kind == "waiting":
            assert order(kernel, f"{IDS}70000").state == "pending"


def assert_sweep_reads_few(kernel: Kernel, *due: str) -> None:
    """Have a sweep find what is due, and nothing else, with few rows read."""
    hints = FakeHints()
    jobs = sweep_jobs(hints, may_rescue=lambda: True)
    looks = {one.name: one for one in jobs if one.name in ELSEWHERE}
    jobs = [one for one in jobs if one.name not in ELSEWHERE]
    done = []

    def sweep() -> None:
        sweep_for(kernel, 3601)
        done[:] = [(swept.due, error) for _, swept, error in run_jobs(kernel, jobs)]

    sweep()  # the first of a process looks for what a clock that was set back has put off
    kernel.clock.shift(6)
    read = rows_read(kernel, sweep)
    assert [error for _, error in done if error is not None] == []
    assert [sorted(ids) for ids, _ in done if ids] == [sorted(due)]
    assert not due_soon(kernel, 200, kernel.settings.sweep_seconds)
    assert read <= FEW
    for name, bound in ELSEWHERE.items():
        assert rows_read(kernel, partial(looks[name].run, kernel, Swept())) <= bound, name
