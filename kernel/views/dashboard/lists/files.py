"""All that a list holds as a file: CSV for a spreadsheet, or JSON."""

from collections.abc import Iterable, Sequence

from flask import Response, request
from werkzeug.exceptions import BadRequest

from kernel.insight.search.tables import BOM, PIECES, Row
from kernel.views.orders.lists import streamed


def as_file(name: str, columns: Sequence[str], batches: Iterable[Sequence[Row]]) -> Response:
    """Answer with a file of the kind that the address names. Raises BadRequest for another."""
    kind = request.args.get("format", "csv")
    if kind not in PIECES:
        raise BadRequest
    return streamed(kind, name, columns, batches, before=BOM if kind == "csv" else "")
