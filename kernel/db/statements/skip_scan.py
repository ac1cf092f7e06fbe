"""Skip scan: which values the first columns of an index have, however many rows have them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select


class SkipScan(Select[Any]):
    """A SELECT of groups that a dialect may say in its own way: see `kernel.db.dialects`."""

    inherit_cache = True

    @property
    def index(self) -> tuple[Any, ...]:
        """The index's first columns, each combination of which is selected once."""
        return tuple(self._group_by_clauses)

    @property
    def ends(self) -> tuple[Any, ...]:
        """``min`` and ``max`` of the index's next column, and what depends on no row."""
        return tuple(self._raw_columns[len(self._group_by_clauses) :])

    @property
    def most(self) -> Any:
        """How many combinations are selected, the first of the index; None for all of them."""
        return self._limit_clause


def skip_scan(index: Sequence[Any], *ends: Any) -> Select[Any]:
    """Select each combination of an index's first columns once, by jumps through the index.

    ``index``: these columns, in the index's order, those included that a condition makes constant:
    grouped without them MariaDB reads the whole index instead of jumping. ``ends``: ``min`` and
    ``max`` of the index's next column, or the time, selected after the others. Add conditions on
    ``index`` alone, and order by all of it with a ``limit``. The cost grows with the number of
    combinations, not with the number of rows.
    """
    return SkipScan(*index, *ends).group_by(*index)
