"""Skip scan: which values the first columns of an index have, however many rows have them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select


def skip_scan(index: Sequence[Any], *ends: Any) -> Select[Any]:
    """Select each combination of an index's first columns once, by jumps through the index.

    ``index``: these columns, in the index's order, those included that a condition makes constant:
    grouped without them MariaDB reads the whole index instead of jumping. ``ends``: ``min`` and
    ``max`` of the index's next column, selected after the others. Add conditions on ``index``
    alone. The cost grows with the number of combinations, not with the number of rows.
    """
    return select(*index, *ends).group_by(*index)
