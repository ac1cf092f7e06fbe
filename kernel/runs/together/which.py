"""Which orders may share a commit: pure, and tested as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernel.db.tables.orders import OrderSnapshot
from kernel.handlers import Handler
from kernel.orders.gates.limits.known import Limits

if TYPE_CHECKING:
    from kernel.runs.claim import Claimed

# How many orders share a commit at the most: as many as one message names.
MOST = 10


def goes_together(
    order: OrderSnapshot, handler: Handler, *, is_limited: bool = False, is_bare: bool = True
) -> bool:
    """Tell whether a due order may share its commit with others.

    Only in its first run: an order that has run before, or was given back, runs alone, so one that
    kills its process costs the others one run at the most, and one that has only one runs alone.
    What has a key, events, children, a parent or anything else beside its own row runs alone, and
    so does what has a limit.
    ``is_bare``: it has no secret arguments, and its caller no share of the workers.
    """
    is_new = order.run == 0 and order.checkpoint == 0 and not order.gates
    shares = handler.together and handler.max_runs > 1
    return shares and is_new and is_bare and not is_limited


def company_of(found: Sequence["Claimed"], limits: Limits) -> list["Claimed"]:
    """Return the orders that are claimed together now; none if the first is to run alone."""
    if not found[0].handler.together:
        return []
    company = [one for one in found if _joins(one, limits)][:MOST]
    return company if len(company) > 1 and company[0] is found[0] else []


def _joins(one: "Claimed", limits: Limits) -> bool:
    is_bare = one.secret_args is None and one.max_running is None
    is_limited = limits.of(one.order.select_tag) is not None
    return goes_together(one.order, one.handler, is_limited=is_limited, is_bare=is_bare)
