"""Orders of commands, run to their end without a worker."""

import json
from collections.abc import Callable
from typing import Any

from kernel.db.tables.orders import Order
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support import factories

# Makes a kernel with the commands of a text.
Make = Callable[[str], Kernel]


def ended(kernel: Kernel, tag: str, **args: Any) -> Order:
    """Run an order to its end; return it."""
    order_id = order(kernel, tag, **args)
    drain(kernel)
    return factories.order(kernel, order_id)


def result(kernel: Kernel, tag: str, **args: Any) -> dict[str, Any]:
    """The result of an order that ends well."""
    found = ended(kernel, tag, **args)
    assert found.state == "success", found.message
    told: dict[str, Any] = json.loads(found.result or "")
    return told
