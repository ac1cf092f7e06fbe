"""Bulk acts that cancel orders with children: each step goes down to some, and none is left."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from kernel.bulk.steps import step
from kernel.errors import Unavailable
from kernel.orders.gates import children
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from tests.runs.test_children import handlers, states
from tests.support.bulk import begun, job, stepped, worker


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def test_act_goes_on_with_the_children_of_the_order_at_which_a_step_failed(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(kernel, order(kernel, "whole", count=2))
    plain, failures = children.live_children, [Unavailable(retry_after=1)]

    def live(kernel: Kernel, parent_id: str) -> Iterator[Sequence[str]]:
        if failures:
            raise failures.pop()
        return plain(kernel, parent_id)

    monkeypatch.setattr("kernel.orders.cancel.live_children", live)
    job_id = begun(kernel, "cancel", select_tag="whole")
    failed = step(worker(kernel), job_id)
    assert failed is not None
    assert isinstance(failed.error, Unavailable)
    assert states(kernel) == ["cancelled", "pending", "pending"]
    kernel.clock.shift(3)
    stepped(kernel, job_id)
    assert states(kernel) == ["cancelled"] * 3
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 1)


def test_act_goes_on_when_a_child_cannot_be_written(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has the note of its parent, and sets aside what cannot be written."""
    for _ in range(2):
        execute(kernel, order(kernel, "whole", count=1))

    def live(kernel: Kernel, parent_id: str) -> Iterator[Sequence[str]]:
        raise ValueError("this row cannot be written")

    monkeypatch.setattr("kernel.orders.cancel.live_children", live)
    job_id = begun(kernel, "cancel", select_tag="whole")
    stepped(kernel, job_id, worker(kernel, seconds=0.0))
    assert sorted(states(kernel)) == ["cancelled"] * 2 + ["pending"] * 2
    assert job(kernel, job_id).state == "done"


def test_step_ends_in_time_among_many_children(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher that does it renews leases beside it."""
    monkeypatch.setattr(children, "PAGE", 2)
    execute(kernel, order(kernel, "whole", count=5))
    job_id, short = begun(kernel, "cancel", select_tag="whole"), worker(kernel, seconds=0.0)
    done = []
    while step(short, job_id) is not None:
        done.append(states(kernel).count("cancelled"))
    assert done[:3] == [3, 5, 6]
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 1)
