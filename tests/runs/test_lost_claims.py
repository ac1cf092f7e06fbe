"""A COMMIT that stored nothing has claimed nothing: its hand-back leaves the next claim alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from kernel.handlers import Run
from kernel.runs.claim import Batch
from kernel.runs.leases import retry_handbacks
from kernel.runtime.kernel import Kernel
from tests.runs.test_claim import Together, make, nothing
from tests.support.factories import order
from tests.support.rivals import kill

MakeKernel = Callable[..., Kernel]
AWAY = OperationalError("COMMIT", {}, Exception("the database is away"))
BY_RIVAL = ("running", 1, "rival")


def make_two(
    make_kernel: MakeKernel, url: str, commit: Callable[[Kernel, str, Any], None]
) -> Together:
    """Make two orders; ``commit`` happens before the COMMIT that ends the first, which claims B."""

    def meanwhile(kernel: Kernel, run: Run) -> None:
        if (run.order_id, run.number) == (two.order_ids[0], 1):
            then = partial(commit, kernel, two.order_ids[1])
            event.listen(kernel.engines.running, "commit", then, once=True)

    two = make(make_kernel, url, meanwhile, 2)
    return two


def claim(kernel: Kernel, order_id: str) -> None:
    with kernel.run_connection() as connection:
        assert Batch(kernel, connection, [order_id]).claim() is not None


def refuse(*_: Any) -> None:
    raise AWAY


def standing(kernel: Kernel, order_id: str, rival: Kernel) -> tuple[str, int, str | None]:
    found = order(kernel, order_id)
    return found.state, found.run, "rival" if found.runner == rival.runner else found.runner


@pytest.mark.parametrize("put_off", [False, True])
def test_order_is_left_to_the_process_that_has_claimed_it_when_the_commit_stored_nothing(
    make_kernel: MakeKernel, database_url: str, put_off: bool
) -> None:
    def lose(kernel: Kernel, order_id: str, connection: Any) -> None:
        kill(kernel, connection)
        claim(rival, order_id)
        if put_off:
            event.listen(kernel.engines.writing, "before_cursor_execute", refuse)

    two = make_two(make_kernel, database_url, lose)
    if not two.kernel.dialect.is_remote:
        return  # its claim and the hand-back would be one writer's
    rival = make(make_kernel, database_url, nothing, 0).kernel
    two.execute()
    if put_off:
        event.remove(two.kernel.engines.writing, "before_cursor_execute", refuse)
    assert len(two.kernel.pending_handbacks) == 2 * put_off
    list(retry_handbacks(two.kernel))
    assert two.kernel.pending_handbacks == {}
    assert standing(two.kernel, two.order_ids[1], rival) == BY_RIVAL
    assert two.states[0] == ("pending", 1, 0)


@pytest.mark.parametrize("under_way", [False, True])
def test_order_that_a_process_claims_again_is_not_given_back_by_what_it_had_put_off(
    make_kernel: MakeKernel, database_url: str, under_way: bool
) -> None:
    def lose(kernel: Kernel, _order_id: str, _connection: Any) -> None:
        event.listen(kernel.engines.writing, "before_cursor_execute", refuse)
        raise AWAY

    two = make_two(make_kernel, database_url, lose)
    two.execute()
    event.remove(two.kernel.engines.writing, "before_cursor_execute", refuse)
    assert two.states == [("running", 1, 0), ("pending", 0, 0)]
    assert {one for one, _ in two.kernel.pending_handbacks} == {*two.order_ids}
    again = two.kernel.pending_handbacks[two.order_ids[1], 1]
    claim(two.kernel, two.order_ids[1])
    if under_way:
        again()
    list(retry_handbacks(two.kernel))
    assert two.kernel.pending_handbacks == {}
    assert two.states == [("pending", 1, 0), ("running", 1, 0)]


def test_order_is_given_back_by_what_was_put_off_when_its_claim_is_committed(
    make_kernel: MakeKernel, database_url: str
) -> None:
    two = make(make_kernel, database_url, nothing, 2)
    with two.kernel.run_connection() as connection:
        batch = Batch(two.kernel, connection, two.order_ids)
        batch.next = batch.claim()
        event.listen(two.kernel.engines.writing, "before_cursor_execute", refuse)
        batch.hand_back()
        event.remove(two.kernel.engines.writing, "before_cursor_execute", refuse)
    assert two.states[0] == ("running", 1, 0)
    list(retry_handbacks(two.kernel))
    assert two.states[0] == ("pending", 1, 0)
