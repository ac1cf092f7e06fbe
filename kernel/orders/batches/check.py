"""Checks the orders of a batch, each by itself, as a single submit does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernel.callers.identity import Identity
from kernel.db.transactions import retrying
from kernel.errors import Forbidden, IdempotencyKeyReused, InvalidOrder
from kernel.formats.order_request import OrderRequest, fingerprint, problem
from kernel.handlers.registering.refusals import names_member
from kernel.orders.accept import Judge, checked_order, refuse_tag
from kernel.orders.batches.store import known_keys
from kernel.orders.secrets.arguments import is_same, keyed_fingerprint
from kernel.orders.submit import check_callers_key
from kernel.runtime.kernel import Kernel

KEY = "idempotency_key"
# A body may hold a hundred thousand mistakes: that many are listed, and at least one of each order.
SHOWN_PROBLEMS = 1000


@dataclass(slots=True, eq=False)
class Checked:
    """An order that is good, its key, and where it stands in the batch.

    ``again``: further places of the same order under the same key.
    """

    place: int
    key: str | None
    request: OrderRequest
    again: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refused:
    """An order that is refused, where it stands in the batch, and why.

    ``key`` and ``fingerprint`` find what an earlier try has stored.
    """

    place: int
    errors: Sequence[dict[str, Any]]
    key: str | None = None
    fingerprint: str = ""


def check_orders(
    kernel: Kernel,
    caller: Identity,
    orders: Iterable[Any],
    judge: Judge,
    own_key: str | None = None,
) -> tuple[list[Checked], list[Refused]]:
    """Return the orders that are good, and those that are not, with pointers into the batch.

    ``own_key``: the batch's, which none of its orders can have as well.
    """
    checked: list[Checked] = []
    refused: list[Refused] = []
    by_key: dict[str, Checked] = {}
    shown = 0
    for place, given in enumerate(orders):
        key, members = None, given
        try:
            key, members = _keyed(kernel, caller, given)
            if key is not None and key == own_key:
                raise InvalidOrder(errors=[key_reused("the batch itself has this key")])
            one = Checked(place, key, checked_order(kernel, caller, members, judge=judge))
            first = one if one.key is None else by_key.setdefault(one.key, one)
            if first is one:
                checked.append(one)
            elif first.request.fingerprint == one.request.fingerprint:
                first.again.append(place)
            else:
                raise InvalidOrder(errors=[key_reused()])
        except InvalidOrder as invalid:
            errors = invalid.data["errors"][: max(1, SHOWN_PROBLEMS - shown)]
            shown += len(errors)
            same = "" if key is None else fingerprint(members)
            refused.append(Refused(place, placed(place, errors), key, same))
    return checked, refused


def accepted_before(kernel: Kernel, caller_id: int, refused: Iterable[Refused]) -> dict[int, str]:
    """Return, by place, the ids of orders that an earlier try has stored under the same keys.

    They run, though handlers or rules that have changed since would refuse them today.
    """
    keyed = [(one, one.key) for one in refused if one.key is not None]
    if not keyed:
        return {}
    with kernel.read() as connection:
        known = known_keys(connection, caller_id, [key for _, key in keyed])
    return {
        one.place: known[key].order_id
        for one, key in keyed
        if key in known and is_same(kernel, known[key].fingerprint, one.fingerprint)
    }


def batch_fingerprint(
    kernel: Kernel,
    members: Mapping[str, Any],
    checked: Iterable[Checked],
    refused: Sequence[Refused],
) -> str:
    """Return the fingerprint of a whole batch, with a key where its body may hold a secret.

    What a refused order holds is not known: its tag may be misspelt.
    """
    whole = fingerprint(members)
    is_secret = any(one.request.secrets is not None for one in checked)
    if refused and not is_secret:
        is_secret = any(handler.secrets for handler in kernel.handlers.values())
    return retrying(lambda: keyed_fingerprint(kernel, whole)) if is_secret else whole


def placed(place: int, errors: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is wrong with an order, pointed to in the body of its batch."""
    return [one | {"pointer": f"/orders/{place}{one['pointer']}"} for one in errors]


def key_reused(said: str = str(IdempotencyKeyReused())) -> dict[str, Any]:
    """Return what is wrong with an order whose key another order has."""
    return problem(f"/{KEY}", IdempotencyKeyReused.code, said)


def _keyed(kernel: Kernel, caller: Identity, members: Any) -> tuple[str | None, Mapping[str, Any]]:
    """Return an order's key, and its members without that. Raises InvalidOrder."""
    if not isinstance(members, Mapping):
        raise InvalidOrder(errors=[problem("", "object_type", "an order is an object")])
    tag = members.get("select_tag")
    try:
        refuse_tag(caller, tag)
    except Forbidden as forbidden:
        problems = [problem("/select_tag", forbidden.code, forbidden.message)]
        raise InvalidOrder(errors=problems) from None
    handler = kernel.handlers.get(tag) if isinstance(tag, str) else None
    key = None
    if KEY in members and not (handler is not None and names_member(handler.model, KEY)):
        key = _key(members[KEY])
        members = {name: value for name, value in members.items() if name != KEY}
    return key, members


def _key(given: Any) -> str | None:
    """Return an order's key; null is none. Raises InvalidOrder."""
    if given is not None and not isinstance(given, str):
        raise InvalidOrder(errors=[problem(f"/{KEY}", "string_type", "must be a string")])
    try:
        check_callers_key(given)
    except InvalidOrder as invalid:
        raise InvalidOrder(
            errors=[one | {"pointer": f"/{KEY}"} for one in invalid.data["errors"]]
        ) from None
    return given
