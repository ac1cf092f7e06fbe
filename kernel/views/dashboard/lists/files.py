"""All that a list holds as a file: CSV for a spreadsheet, or JSON."""

from collections.abc import Iterable, Sequence

from flask import Response, request

from kernel.insight.search.tables import BOM, PIECES, Row
from kernel.views.dashboard.frame import FormRefused
from kernel.views.orders.lists import streamed


def as_file(name: str, columns: Sequence[str], batches: Iterable[Sequence[Row]]) -> Response:
    """Answer with a file of the kind that the address names. Raises FormRefused for another."""
    kind = request.args.get("format", "csv")
    if kind not in PIECES:
        raise FormRefused.by_field({"format": f"one of {', '.join(PIECES)}"})
    return streamed(kind, name, columns, batches, before=BOM if kind == "csv" else "")
