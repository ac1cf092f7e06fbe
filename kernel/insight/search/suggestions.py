"""What may be typed into the fields of a filter: names that orders have, a few of each kind.

Every answer takes a few rows of an index, however many orders there are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from kernel.db.columns import by_index
from kernel.db.statements.keyset import Budget
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.db.tables.receivers import RECEIVERS
from kernel.db.tables.service import SelectTag
from kernel.filters.counts import count_orders
from kernel.filters.orders import OrderFilter, begins
from kernel.filters.plans import KEY_INDEX, PARENT_INDEX, REFERENCE_INDEX
from kernel.formats.reference import is_reference

# Names that are offered at once; a page has all tags and receivers up to `LISTED` of each.
FEW, LISTED = 10, 200
# The newest failed orders, whose codes are offered.
FAILED = Budget(first=500, largest=2000, seconds=0.02, rows=3500)
# The beginning of an id.
_PART = re.compile(r"[0-9a-f-]{0,36}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a field may hold, and what more a person is told of it."""

    value: str
    said: str = ""


def tags(asked: Connection) -> list[str]:
    """Return tags that workers have handlers for."""
    return list(asked.scalars(select(SelectTag.tag).order_by(SelectTag.tag).limit(LISTED)))


def receivers(asked: Connection) -> list[str]:
    """Return names of receivers."""
    name = RECEIVERS.c.name
    return list(asked.scalars(select(name).distinct().order_by(name).limit(LISTED)))


def suggest(asked: Connection, field: str, text: str) -> list[Suggestion]:
    """Return what ``field``, one of `SUGGESTED`, may hold that begins with ``text``."""
    return _SUGGESTED[field](asked, text)


def _errors(asked: Connection, text: str) -> list[Suggestion]:
    """Return the codes of the newest failed orders, the most frequent first."""
    counts = count_orders(asked, OrderFilter(state=OrderState.FAILED), FAILED)
    codes = [*filter(None, counts.by_error), OrderState.CANCELLED.value]
    return [Suggestion(code) for code in codes if code.startswith(text)][:LISTED]


def _references(asked: Connection, text: str) -> list[Suggestion]:
    """Return references in the order of the alphabet."""
    column = REFERENCES.c.reference
    return [Suggestion(one) for one in _different(asked, column, REFERENCE_INDEX, text)]


def _keys(asked: Connection, text: str) -> list[Suggestion]:
    """Return ordering keys in the order of the alphabet."""
    column = GATES.c.ordering_key
    return [Suggestion(one) for one in _different(asked, column, KEY_INDEX, text)]


def _batches(asked: Connection, text: str) -> list[Suggestion]:
    """Return the newest orders with children, and what they are called."""
    ids = list(_newest(asked, text))
    shown = select(ORDERS.c.id, ORDERS.c.select_tag, ORDERS.c.reference)
    rows = asked.execute(shown.where(ORDERS.c.id.in_(ids))) if ids else ()
    named = {row.id: row.reference or row.select_tag for row in rows}
    return [Suggestion(one, named.get(one, "")) for one in ids]


def _different(asked: Connection, column: Any, index: str, text: str) -> Iterator[str]:
    """Yield different values of an index's first column, each by a jump to the one above it."""
    if not is_reference(text):  # nothing begins so, and an empty text would offer an alphabet
        return
    query = by_index(select(column), column.table, index).where(begins(column, text))
    query = query.order_by(column).limit(1)
    found = asked.scalar(query)
    for _ in range(FEW):
        if found is None:
            return
        yield found
        found = asked.scalar(query.where(column > found))


def _newest(asked: Connection, text: str) -> Iterator[str]:
    """Yield the newest parents, each by a jump to the one below it."""
    if not _PART.fullmatch(text):
        return
    parent = GATES.c.parent_id
    # Beyond every character of an id.
    fits = (parent >= text, parent < f"{text}g")
    query = by_index(select(parent), GATES, PARENT_INDEX).where(*fits)
    query = query.order_by(parent.desc()).limit(1)
    found = asked.scalar(query)
    for _ in range(FEW):
        if found is None:
            return
        yield found
        found = asked.scalar(query.where(parent < found))


_SUGGESTED: Mapping[str, Callable[[Connection, str], list[Suggestion]]] = {
    "error": _errors,
    "reference": _references,
    "reference_prefix": _references,
    "ordering_key": _keys,
    "batch": _batches,
}
SUGGESTED = tuple(_SUGGESTED)
