"""Bulk acts whose process is killed by SIGKILL, after any of its statements: none is done twice."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import update

from kernel.db.tables.operating.bulk import JOBS, RERUNS
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.bulk import begun, job
from tests.support.factories import CALLBACK, delivery, make_delivery, make_order, order, rows
from tests.support.interrupted import Interrupted

ITEMS = 3


def killed_until_it_ends(kernel: Kernel, url: str, job_id: str) -> int:
    """Run the act in processes that are killed, each a statement later than the one before.

    The claim of a dead process runs out at once here. Returns how many were killed.
    """
    with Interrupted(url, "bulk", "run", job_id) as acts:
        number = 1
        while acts.killed(after=number):
            number += 1
            with kernel.write() as connection:
                over = update(JOBS).where(JOBS.c.claim_token.is_not(None))
                connection.execute(over.values(lease_until=kernel.clock.now()))
    return number - 1


def make(kernel: Kernel, kind: str) -> list[str]:
    """Make what the act changes."""
    now = kernel.clock.now()
    if kind in ("redeliver", "drop"):
        state = "dead" if kind == "redeliver" else "pending"
        ended = now if kind == "redeliver" else None
        return [make_delivery(kernel, state=state, finished_at=ended) for _ in range(ITEMS)]
    failed: dict[str, Any] = {"state": "failed", "error_code": "timed_out", "finished_at": now}
    given = failed if kind == "rerun" else {}
    return [make_order(kernel, callback_url=CALLBACK, **given) for _ in range(ITEMS)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rerun", "cancel", "redeliver", "drop"])
def test_each_item_is_changed_once_whenever_the_process_is_killed(
    kernel: Kernel, database_url: str, kind: str
) -> None:
    ids = make(kernel, kind)
    # Two callbacks in a batch, the next of which comes a second later.
    rate = 120 if kind in ("redeliver", "drop") else None
    job_id = begun(kernel, kind, rate=rate)
    assert killed_until_it_ends(kernel, database_url, job_id) >= 3
    ended = job(kernel, job_id)
    assert (ended.state, ended.done, ended.left_out) == ("done", ITEMS, 0)
    if kind == "rerun":
        made = Counter(row.idempotency_key for row in rows(kernel, ORDERS) if row.idempotency_key)
        assert made == {f"bulk:{job_id}:{one}": 1 for one in ids}
        assert {row.order_id for row in rows(kernel, RERUNS)} == set(ids)
    elif kind == "cancel":
        assert {order(kernel, one).state for one in ids} == {"cancelled"}
    else:
        state = "pending" if kind == "redeliver" else "dead"
        assert {delivery(kernel, one).state for one in ids} == {state}
