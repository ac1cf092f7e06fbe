"""`/v1/trends`: how it went by tag, caller, receiver and host, for operators."""

from collections.abc import Callable
from typing import Any

from flask import Response, request

from kernel.callers.people.roles import Role
from kernel.errors import InvalidQuery, NotFound
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.strictjson import escape_pointer
from kernel.formats.texts import text
from kernel.insight.trends.marks import marks
from kernel.insight.trends.parts import rows_of
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.shown import FIELDS, LISTS, part_of, row_data, trend_data
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response


class TrendViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.trends = Trends(kernel)

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by rule and method."""
        return {
            "/trends": {"GET": self.show_trend},
            "/trends/<kinds>": {"GET": self.show_parts},
        }

    def show_trend(self) -> Response:
        """GET /v1/trends: points, totals, the time before, and marks."""
        identity(self.kernel, Role.VIEWER)
        span = _span(*FIELDS)
        try:
            part = part_of(request.args)
        except ValueError as error:
            raise InvalidQuery(errors=[problem("", "invalid", str(error))]) from None
        with self.kernel.read_session() as session:
            marked = marks(session, first_bin(span, self.kernel.clock.now()))
        return self._success(trend_data(self.trends.read(span, part), marked))

    def show_parts(self, kinds: str) -> Response:
        """GET /v1/trends/{kinds}: the parts of a kind side by side, and what they have now."""
        identity(self.kernel, Role.VIEWER)
        if kinds not in LISTS:
            raise NotFound
        span = _span()
        found = rows_of(self.kernel, self.trends, span, LISTS[kinds])
        return self._success({"span": span, "parts": [row_data(one) for one in found]})

    def _success(self, data: dict[str, Any]) -> Response:
        language = self.kernel.settings.language
        return json_response(200, envelope(0, text("success", language), data))


def _span(*known: str) -> Span:
    """Read the query string strictly. Raises InvalidQuery with pointers."""
    problems = []
    for name, values in request.args.lists():
        pointer = f"/{escape_pointer(name)}"
        if name not in ("span", *known):
            problems.append(problem(pointer, "unknown", "there is no such parameter"))
        elif len(values) > 1:
            problems.append(problem(pointer, "repeated", "give it once"))
        elif name == "span" and values[0] not in set(Span):
            problems.append(problem(pointer, "invalid", f"one of {', '.join(Span)}"))
    if problems:
        raise InvalidQuery(errors=problems)
    return Span(request.args.get("span", Span.HOUR))
