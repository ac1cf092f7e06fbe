"""What earlier runs have saved, when their orders are claimed again."""

from typing import Any

import pymysql
from sqlalchemy import event, update

from kernel.db.tables.orders import ORDERS
from kernel.handlers import Progress
from tests.runs.test_claim import MakeKernel, Together, make, nothing


def test_next_order_goes_on_where_it_was_when_it_reached_a_checkpoint_before(
    make_kernel: MakeKernel, database_url: str
) -> None:
    seen: list[Any] = []
    together = make(
        make_kernel, database_url, lambda _, run: seen.append((run.progress, run.state))
    )
    save(together, together.order_ids[1])
    together.execute()
    assert seen == [(None, None), (Progress(3, 9, "on it"), {"at": 3}), (None, None)]


def test_no_order_is_lost_when_its_progress_cannot_be_read(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    together = make(make_kernel, mariadb_rows_url, nothing, count=2)
    save(together, together.order_ids[1])

    def fail(*call: Any) -> None:
        if call[2].startswith("SELECT kernel_orders.progress_current"):
            raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")

    event.listen(together.kernel.engines.running, "before_cursor_execute", fail)
    executed = {one.order_id: one.again_in for one in together.execute()}
    assert executed.keys() == set(together.order_ids)
    assert None not in executed.values()
    assert [state for state, _, _ in together.states] == ["pending", "pending"]


def save(together: Together, order_id: str) -> None:
    """Have an order look as if a run had reached its third checkpoint and died."""
    progress = {"progress_current": 3, "progress_total": 9, "progress_note": "on it"}
    saved = progress | {"checkpoint": 3, "run_state": '{"at": 3}'}
    with together.kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(**saved))
