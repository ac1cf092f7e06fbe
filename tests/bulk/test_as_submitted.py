"""An order that is run again has the first one's arguments, reference, key and priority."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.orders.accept import Submission, accept
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.bulk import begun, stepped
from tests.support.factories import ANYBODY

handlers = Handlers()
OWN = {"ordering_key": "srv-12", "priority": "high"}
# How a reference is given: members of the body, and the header.
WAYS: dict[str, tuple[dict[str, Any], str | None]] = {
    "member": ({"reference": "INC1"}, None),
    "header": ({}, "INC1"),
    "argument": ({"ticket": "INC1"}, None),
    "member and header": ({"reference": "INC1"}, "INC2"),
    "none": ({}, None),
}


class Forbids(BaseModel):
    """Refuses what it does not know."""

    ticket: str = ""


class Ignores(Forbids, extra="ignore"):
    """Drops what it does not know."""


class Allows(Forbids, extra="allow"):
    """Keeps what it does not know."""


class Owns(Forbids):
    """Has arguments that are called as an order's own members."""

    reference: str | None = None
    ordering_key: str | None = None
    priority: str | None = None


def run(run: Run, args: BaseModel) -> dict[str, Any]:
    """Do nothing."""
    return {}


for model in (Forbids, Ignores, Allows, Owns):
    handlers.register(model.__name__.lower(), model, reference="ticket")(run)


def stored(kernel: Kernel) -> list[Any]:
    """What is stored of each order, the oldest first."""
    columns = (ORDERS.c.args, ORDERS.c.reference, ORDERS.c.priority, GATES.c.ordering_key)
    beside = ORDERS.outerjoin(GATES, GATES.c.order_id == ORDERS.c.id)
    with kernel.read() as connection:
        asked = select(*columns).select_from(beside).order_by(ORDERS.c.id)
        return [tuple(row) for row in connection.execute(asked)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tag", handlers)
@pytest.mark.parametrize("own", [{}, OWN], ids=["plain", "own"])
def test_order_that_is_run_again_is_stored_as_the_first(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    tag: str,
    way: str,
    own: dict[str, Any],
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    members, header = WAYS[way]
    sent = {"select_tag": tag, "callback_url": None, **members, **own}
    accept(kernel, Submission(ANYBODY, sent, reference=header))
    drain(kernel)
    stepped(kernel, begun(kernel, "rerun", state="success"))
    first, again = stored(kernel)
    assert again == first
