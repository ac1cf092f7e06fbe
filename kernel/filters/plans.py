"""Along which index the orders of a filter are found, in the order of their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, select
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.ids import ID
from kernel.db.statements.keyset import Walk, id_range
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.filters.orders import ANYTHING, OrderFilter, begins
from kernel.formats.reference import is_reference

FINGERPRINT_INDEX = "ix_kernel_runs_fingerprint_order_id"
KEY_INDEX = "ix_kernel_gates_ordering_key_caller_id_order_id"
PARENT_INDEX = "ix_kernel_gates_parent_id_order_id"
REFERENCE_INDEX = "ix_kernel_references_reference_caller_id_order_id"
WAITING_INDEX = "ix_kernel_gates_caller_id_waiting_for_order_id"
# Characters that the beginning of a reference needs: fewer are looked for in arguments.
SHORTEST = 3
# A name that no more orders have becomes a list of their ids.
SETTLED = 500
# Of the names that begin with a text those looked at for one of the caller's, or of its tags.
LOOKED = 20_000
# What is asked for rows.
Asked = Connection | Session
Plan = tuple[Walk, list[ColumnElement[bool]]]


@dataclass(frozen=True, slots=True)
class _Index:
    """An index whose first columns hold these members of a filter, and then the order's id."""

    name: str
    # By the members of the filter.
    columns: dict[str, Any]

    @property
    def key(self) -> Any:
        """The column of the order's id."""
        table = next(iter(self.columns.values())).table
        return ORDERS.c.id if table is ORDERS else table.c.order_id


def _of_orders(*members: str) -> _Index:
    columns = {one: ORDERS.c[one] for one in members}
    return _Index(f"ix_kernel_orders_{'_'.join(members)}_id", columns)


# Those that narrow more come first. With both a state and a caller: most orders have succeeded, so
# that state narrows least.
_KEY, _OWNER = GATES.c.ordering_key, GATES.c.caller_id
_INDEXES = (
    _Index(PARENT_INDEX, {"batch": GATES.c.parent_id}),
    _Index(KEY_INDEX, {"ordering_key": _KEY, "caller_id": _OWNER}),
    _Index(
        REFERENCE_INDEX,
        {"reference": REFERENCES.c.reference, "caller_id": REFERENCES.c.caller_id},
    ),
    _Index(WAITING_INDEX, {"caller_id": _OWNER, "waiting": GATES.c.waiting_for}),
    _of_orders("caller_id", "state", "select_tag"),
    _of_orders("state", "select_tag"),
)
_BY_STATE, _BY_CALLER = _of_orders("state"), _of_orders("caller_id")


def plan_orders(wanted: OrderFilter, up: bool = False) -> Plan:
    """Choose an index; return the walk along it, and the conditions that rows are looked at for.

    Orders are found in the order of their ids, the newest first unless ``up``. In rows of the
    walk the id is called ``id``.
    """
    held = _held(wanted)
    left = wanted.by_name()
    if "ids" in left:
        return _walk(ORDERS, "PRIMARY", [left.pop("ids")], wanted, up), list(left.values())
    index = next((one for one in _INDEXES if one.columns.keys() <= held.keys()), None)
    if index is None:
        is_success = held.get("state") == OrderState.SUCCESS
        pair = (_BY_CALLER, _BY_STATE) if is_success else (_BY_STATE, _BY_CALLER)
        index = next((one for one in pair if one.columns.keys() <= held.keys()), None)
    if index is None:
        return _walk(ORDERS, "PRIMARY", [], wanted, up), list(left.values())
    where = [column == held[name] for name, column in index.columns.items()]
    table = index.key.table
    # A row beside the order's tells what the order once waited for: its own row has the last word.
    rest = [one for name, one in left.items() if name not in index.columns]
    beside = [] if table is ORDERS else [ORDERS.c.id == index.key]
    return _walk(table, index.name, where, wanted, up), [*beside, *rest]


def _held(wanted: OrderFilter) -> dict[str, Any]:
    """Return what the filter holds to one value, by the names of members that indexes have."""
    names = ("batch", "ordering_key", "caller_id", "reference", "waiting", "select_tag")
    held = {name: getattr(wanted, name) for name in names}
    held["waiting"] = None if wanted.waiting == ANYTHING else wanted.waiting
    if wanted.states is not None and len(wanted.states) == 1:
        held["state"] = wanted.states[0]
    return {name: value for name, value in held.items() if value is not None}


def _walk(
    table: Any, index: str, where: list[ColumnElement[bool]], wanted: OrderFilter, up: bool
) -> Walk:
    key = ORDERS.c.id if table is ORDERS else table.c.order_id
    span = id_range(key, wanted.since, wanted.until)
    # Named as in the rows that are found: their key is the order's id.
    named = key if table is ORDERS else key.label("id")
    return Walk(table, index, [named], [*where, *span], up)


def settle(asked: Asked, wanted: OrderFilter) -> OrderFilter:
    """Return the same filter with ids for its names, where a name has few orders.

    ``text`` becomes the orders whose name it is: their id or a callback's, an idempotency key, a
    reference, an ordering key, or the beginning of a reference. Names of up to `SETTLED` orders
    become ids. What is left is looked for row by row.
    """
    wanted = named(asked, wanted)
    if wanted.ids is not None:  # few: what else is wanted is looked for in their rows
        return wanted
    if wanted.fingerprint is not None:
        failed = by_index(select(RUNS.c.order_id), RUNS, FINGERPRINT_INDEX)
        failed = failed.where(RUNS.c.fingerprint == wanted.fingerprint).distinct()
        ids = list(asked.scalars(failed.order_by(RUNS.c.order_id).limit(SETTLED + 1)))
        if len(ids) <= SETTLED:
            return replace(wanted, ids=tuple(ids))
    for name in _NAMES:
        value = getattr(wanted, name)
        # With the caller an index has them in the order of their ids.
        if value is not None and (wanted.caller_id is None or name == "reference_prefix"):
            found = _having(asked, name, value)
            if len(found) <= SETTLED:
                return replace(wanted, ids=tuple(found))
    return wanted


_NAMES = {
    "reference": (REFERENCES.c.reference, REFERENCE_INDEX),
    "ordering_key": (GATES.c.ordering_key, KEY_INDEX),
    "reference_prefix": (REFERENCES.c.reference, REFERENCE_INDEX),
}


def _having(asked: Asked, name: str, value: str) -> list[str]:
    """Return ids of orders that have this reference or key, or a reference that begins so."""
    column, index = _NAMES[name]
    table, is_prefix = column.table, name == "reference_prefix"
    fits = begins(column, value) if is_prefix else column == value
    found = by_index(select(table.c.order_id), table, index).where(fits)
    order = (column, table.c.caller_id, table.c.order_id)
    return list(asked.scalars(found.order_by(*order).limit(SETTLED + 1)))


def named(asked: Asked, wanted: OrderFilter) -> OrderFilter:
    """Return the filter for the orders that its ``text`` names, or else for those of these words.

    The answer has no ``text``: it means the same later, when other orders have got that name. Names
    are those of the orders that the filter is of: other callers' change nothing.
    """
    if (text := wanted.text) is None:
        return wanted
    if ID.fullmatch(text):
        of_delivery = select(DELIVERIES.c.order_id).where(DELIVERIES.c.id == text)
        return _these(wanted, (text, *asked.scalars(of_delivery)))
    if text.isascii() and (found := _with_key(asked, wanted, text)):
        return _these(wanted, found)
    for name in _NAMES if is_reference(text) else ():
        is_long = name != "reference_prefix" or len(text) >= SHORTEST
        if is_long and _is_name(asked, wanted, name, text):
            return _also_named(wanted, name, text)
    return replace(wanted, text=None, words=text)


def _with_key(asked: Asked, wanted: OrderFilter, key: str) -> list[str]:
    """Return ids of the filter's orders that have this idempotency key: one for each caller."""
    whose, found = ORDERS.c.caller_id, select(ORDERS.c.id).where(ORDERS.c.idempotency_key == key)
    is_its = whose.in_(select(Caller.id)) if wanted.caller_id is None else whose == wanted.caller_id
    found = found.where(is_its)
    if wanted.tags is not None:
        found = found.where(ORDERS.c.select_tag.in_(wanted.tags))
    return list(asked.scalars(found.limit(SETTLED)))


def _is_name(asked: Asked, wanted: OrderFilter, name: str, value: str) -> bool:
    """Tell whether one of the filter's orders has this reference or key, or one that begins so."""
    column, index = _NAMES[name]
    table, is_prefix, owner = column.table, name == "reference_prefix", wanted.caller_id
    fits = begins(column, value) if is_prefix else column == value
    known = by_index(select(table.c.order_id, table.c.caller_id), table, index).where(fits)
    if owner is not None and not is_prefix:  # the index has them beside each other
        known = known.where(table.c.caller_id == owner)
    order, is_first = (column, table.c.caller_id, table.c.order_id), wanted.tags is None
    is_first = is_first and (owner is None or not is_prefix)
    looked = known.order_by(*order).limit(1 if is_first else LOOKED).subquery("looked")
    found = select(looked.c.order_id).limit(1)
    if owner is not None:
        found = found.where(looked.c.caller_id == owner)
    if wanted.tags is not None:
        its = (ORDERS.c.id == looked.c.order_id, ORDERS.c.select_tag.in_(wanted.tags))
        found = found.where(exists().where(*its))
    return asked.scalar(found) is not None


def _these(wanted: OrderFilter, ids: Sequence[str]) -> OrderFilter:
    """Return the filter for these orders in place of its text; of ids that it has, for those."""
    both = ids if wanted.ids is None else [one for one in wanted.ids if one in ids]
    return replace(wanted, text=None, ids=tuple(both))


def _also_named(wanted: OrderFilter, name: str, text: str) -> OrderFilter:
    """Return the filter for this name in place of its text, beside a name that it asks for."""
    given = getattr(wanted, name)
    longer, shorter = (text, given or "") if len(text) > len(given or "") else (given, text)
    is_both = longer.startswith(shorter) if name == "reference_prefix" else given in (None, text)
    if not is_both:  # no order has two references, or two ordering keys
        return _these(wanted, ())
    named: Any = {name: longer}
    return replace(wanted, text=None, **named)
