"""The list of orders: tabs by state, filters in the address, pages by cursor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flask import Response, request
from sqlalchemy import Connection, select

from kernel.db.ids import ID, time_of
from kernel.db.statements.keyset import Cursor
from kernel.db.states import OrderState
from kernel.db.tables.service import SelectTag
from kernel.insight.order_search import Found, SearchFilter, find
from kernel.insight.state_counts import COUNTED, count_states
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard import query
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.http.sessions import Visitor

MAX_TEXT = 200
# Tags offered beside a field; others can be typed.
OFFERED = 200


@dataclass
class OrderQuery:
    """The query of the list, as given and as understood."""

    given: dict[str, str]
    wanted: SearchFilter = field(default_factory=SearchFilter)
    cursor: Cursor | None = None
    # Fields that make no sense: nothing is shown rather than too much.
    wrong: list[str] = field(default_factory=list)

    @property
    def filtered(self) -> bool:
        """Tell whether anything but a state narrows the list."""
        return any(value for name, value in self.given.items() if name != "state")


def order_pages(frame: Frame) -> None:
    """Add the list to ``frame``."""

    def count() -> Mapping[str, int]:
        with frame.kernel.read() as connection:
            return count_states(connection)

    def search(connection: Connection, asked: OrderQuery) -> Found:
        if asked.wrong:
            return Found([])
        return find(connection, asked.wanted, asked.cursor, budget=frame.limits.search)

    counts = SingleFlightCache[Mapping[str, int]](LIVE_SECONDS, share=LIVE_SHARE)

    @frame.page("/orders")
    def orders(visitor: Visitor) -> Response:
        with frame.kernel.read() as connection:
            callers = query.caller_ids(connection)
            asked = read_query(callers)
            found = search(connection, asked)
            tags = sorted({*connection.scalars(_TAGS), *frame.kernel.handlers})
        return frame.render(
            "dashboard/orders.html",
            asked=asked,
            found=found,
            newer=_written(found.newer),
            older=_written(found.older),
            looked_back_to=_looked_back_to(found),
            states=list(OrderState),
            counts=counts.get(count),
            counted=COUNTED,
            callers={caller_id: name for name, caller_id in callers.items()},
            tags=tags[:OFFERED],
        )


def read_query(callers: dict[str, int]) -> OrderQuery:
    """Read the query string; what cannot be understood is named in ``wrong``."""
    given, wanted, wrong = query.read(
        {
            "state": ("state", OrderState),
            "tag": ("select_tag", query.word),
            "caller": ("caller_id", callers.__getitem__),
            "host": ("host", query.word),
            "since": ("since", query.moment),
            "until": ("until", query.moment),
            "q": ("text", _text),
        }
    )
    return OrderQuery(given, SearchFilter(**wanted), _cursor(), wrong)


def _cursor() -> Cursor | None:
    """Read where the page begins; what is no id begins at the newest."""
    for name in ("before", "after"):
        given = request.args.get(name, "")
        if ID.fullmatch(given):
            return Cursor((given,), up=name == "after")
    return None


def _written(cursor: Cursor | None) -> str | None:
    """Write a cursor for an address; which way it goes is the field's to say."""
    return None if cursor is None else str(cursor.key[0])


def _text(given: str) -> str:
    if len(given) > MAX_TEXT or "\0" in given or not given.isprintable():
        raise ValueError(given)
    return given


def _looked_back_to(found: Found) -> datetime | None:
    """Return how far back a search came that stopped before its end."""
    if found.looked_at is None or found.older is None:
        return None
    return time_of(found.older.key[0])


_TAGS = select(SelectTag.tag).order_by(SelectTag.tag).limit(OFFERED)
