"""What a schedule orders, and when: its row as a definition, and what is wrong with one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kernel.callers.identity import Identity
from kernel.db.tables.callers import ApiKey
from kernel.db.tables.orders import NO_CALLBACK
from kernel.errors import InvalidOrder
from kernel.formats.durations import in_words
from kernel.formats.order_request import OrderRequest, problem
from kernel.formats.reference import WORDS, is_reference
from kernel.formats.strictjson import escape_pointer
from kernel.orders.accept import checked_order
from kernel.runtime.kernel import Kernel
from kernel.schedules.recurrence import LEAST, MOST, Recurrence, cron_problem, zone_problem

# Members of an order that a schedule has itself.
OWN = ("select_tag", "callback_url", "reference")


class InvalidSchedule(InvalidOrder, code="invalid_schedule"):
    """The schedule is not valid.

    ``data["errors"]`` lists what is wrong, as InvalidOrder does; arguments are below ``/args``.
    """


@dataclass(frozen=True, slots=True)
class Definition:
    """What is submitted again and again for ``caller``, and when.

    ``callback_url`` is None where the caller polls. ``args``: the other members of the order.
    ``catch_up``: for how many seconds a missed time may be made up.
    """

    caller: str
    cron: str
    zone: str
    select_tag: str
    args: Mapping[str, Any]
    callback_url: str | None = None
    reference: str | None = None
    catch_up: int = 3600

    @classmethod
    def of(cls, row: Any) -> "Definition":
        """Return the definition in a row of `kernel.schedules.rows`."""
        when = (row.caller, row.cron, row.zone, row.select_tag)
        url = None if row.callback_url == NO_CALLBACK else row.callback_url
        return cls(*when, json.loads(row.args), url, row.reference, row.catch_up)

    @property
    def recurrence(self) -> Recurrence:
        """When it recurs. Raises ValueError: the zone may be unknown on this host."""
        return Recurrence(self.cron, self.zone)


def order_of(kernel: Kernel, owner: Identity, definition: Definition) -> OrderRequest:
    """Return the order that a definition makes now. Raises InvalidSchedule, with every problem."""
    problems = list(_own_problems(definition))
    members = {**definition.args}
    members |= {"select_tag": definition.select_tag, "callback_url": definition.callback_url}
    try:
        found = checked_order(kernel, owner, members, definition.reference)
    except InvalidOrder as invalid:
        problems += map(_below_args, invalid.data["errors"])
    else:
        problems += _unfit(found)
    if problems:
        raise InvalidSchedule(errors=problems)
    return found


def check(kernel: Kernel, owner: Identity, definition: Definition) -> None:
    """Refuse a definition that cannot work. Raises InvalidSchedule, with every problem."""
    problems = []
    for name, wrong in (
        ("cron", cron_problem(definition.cron)),
        ("zone", zone_problem(definition.zone)),
    ):
        if wrong is not None:
            problems.append(problem(f"/{name}", f"invalid_{name}", wrong))
    if not LEAST.total_seconds() <= definition.catch_up <= MOST.total_seconds():
        least, most = (in_words(one.total_seconds()) for one in (LEAST, MOST))
        problems.append(problem("/catch_up", "out_of_range", f"from {least} to {most}"))
    try:
        order_of(kernel, owner, definition)
    except InvalidSchedule as invalid:
        problems += invalid.data["errors"]
    if problems:
        raise InvalidSchedule(errors=problems)


def is_disabled(session: Session, caller_id: int) -> bool:
    """Tell whether every key that the caller ever had was revoked: nothing is done for it then.

    Keys that have expired do not count, and a caller that never had a key is none of these.
    """
    left, made = session.execute(
        select(func.count() - func.count(ApiKey.revoked_at), func.count()).where(
            ApiKey.caller_id == caller_id, ApiKey.person_id.is_(None)
        )
    ).one()
    return bool(made) and not left


def _own_problems(definition: Definition) -> Any:
    for name in OWN:
        if name in definition.args:
            detail = "belongs to the schedule itself, not to its arguments"
            yield problem(f"/args/{name}", "not_an_argument", detail)
    if definition.reference is not None and not is_reference(definition.reference):
        yield problem("/reference", "invalid_reference", f"a reference is {WORDS}")


def _unfit(order: OrderRequest) -> Any:
    """Judge what an order may have, and one that recurs may not."""
    if order.secrets is not None:
        detail = "has secret arguments, and a schedule keeps none: let the handler read them"
        yield problem("/args", "secret_arguments", detail)
    for name in ("not_before", "not_after"):
        if getattr(order, name) is not None:
            detail = "is one moment, and the order recurs"
            yield problem(f"/args/{name}", "fixed_time", detail)


def _below_args(found: dict[str, Any]) -> dict[str, Any]:
    pointer = found["pointer"]
    own = any(pointer == f"/{escape_pointer(name)}" for name in OWN)
    return found if own or not pointer else found | {"pointer": f"/args{pointer}"}
