"""How PostgreSQL is given many rows: as one JSON text, whose members it takes apart itself.

psycopg reads a statement's text again each time when it has many places, and adapts each value:
for a hundred orders that takes longer than all else that is done to store them. This text is the
same for any number of rows, so it is also prepared once.
"""

import re
from typing import Any

from kernel.db.statements.many_rows import ManyRows

# A value that is given, as psycopg writes it.
_GIVEN = re.compile(r"%\((\w+)\)s")
_SELECT = "SELECT {row} FROM json_to_recordset(%s::json) AS given ({members})"


def from_json(rows: ManyRows, compiler: Any, **given: Any) -> str:
    """Return a SELECT from the members of the JSON objects, in the order of the list."""
    types = compiler.dialect.type_compiler_instance
    names = dict.fromkeys(_GIVEN.findall(rows.row))
    members = ", ".join(f"{name} {types.process(rows.types[name])}" for name in names)
    row = _GIVEN.sub(r"given.\1", rows.row.removeprefix("(").removesuffix(")"))
    return _SELECT.format(row=row, members=members)
