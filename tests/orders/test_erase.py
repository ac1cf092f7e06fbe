"""What can be done with an order that was erased."""

from collections.abc import Callable

from sqlalchemy import func, select

from kernel.db.tables.orders import ORDERS
from kernel.orders.secrets.erase import Whose, erase
from kernel.runtime.kernel import Kernel
from tests.support.clients import handlers
from tests.support.factories import make_order
from tests.support.people.dashboard import operator, words


def test_erased_order_is_not_submitted_again(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    """Its arguments are gone: a handler that needs none of them would run on nothing."""
    kernel = make_kernel(sqlite_url, handlers)
    now = kernel.clock.now()
    order_id = make_order(kernel, select_tag="nested", state="success", finished_at=now)
    assert list(erase(kernel, Whose(order_id=order_id))) == [1]
    answer = operator(kernel).post(f"/dashboard/orders/{order_id}/again")
    assert answer.status_code == 409
    assert "was erased" in words(answer)
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ORDERS)) == 1
