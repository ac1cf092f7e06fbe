"""The rows of an INSERT, which a database may take as one value instead of a value for each."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine


class ManyRows(ClauseElement):
    """What stands behind an INSERT's columns when all of its rows are one JSON text.

    ``row``: the values of one row in SQL, those that are given by their names, as the driver
    writes them. ``types``: of what is given. A dialect compiles it: see `kernel.db.dialects`. The
    text has one place, for a list of objects; it is empty where each value has a place of its own.
    """

    inherit_cache = False

    def __init__(self, row: str, types: Mapping[str, TypeEngine[Any]]) -> None:
        self.row = row
        self.types = types


@compiles(ManyRows)
def _value_by_value(rows: ManyRows, compiler: Any, **given: Any) -> str:
    return ""
