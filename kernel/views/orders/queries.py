"""The query strings by which orders and callbacks are listed: names, kinds, and what they mean."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.orm import Session

from kernel.callers.identity import Identity
from kernel.db.ids import ID
from kernel.db.states import DeliveryState, WireState
from kernel.errors import InvalidQuery
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.fields import MAX_IDS, MAX_TEXT, Known, Read, known, read_callbacks, read_orders
from kernel.filters.moments import Here
from kernel.filters.orders import OrderFilter
from kernel.formats.order_request import problem
from kernel.formats.reference import MAX_REFERENCE, PATTERN
from kernel.formats.strictjson import escape_pointer
from kernel.orders.pages import MAX_PAGE, PAGE
from kernel.runtime.kernel import Kernel

Filter = TypeVar("Filter", OrderFilter, CallbackFilter)
TIME = "RFC 3339, `2h` (two hours ago); with `zone` also `14:00`, `2026-11-29 14:00`"
RowId = Annotated[str, Field(pattern=f"^{ID.pattern}$")]
Time = Annotated[str, Field(max_length=40, description=TIME)]
Reference = Annotated[str, Field(max_length=MAX_REFERENCE, pattern=PATTERN)]


def _word(most: int, said: str) -> Any:
    return Field(None, max_length=most, pattern=r"^[!-~]+$", description=said)


def _split(value: Any) -> Any:
    """Split a list that a query string writes with commas."""
    return value.split(",") if isinstance(value, str) else value


class FilterQuery(BaseModel, extra="forbid"):
    """What narrows both lists."""

    caller: str | None = Field(None, max_length=100, description="for operators: whose")
    select_tag: str | None = Field(None, max_length=100, pattern=r"^[!-~]*$")
    host: str | None = _word(300, "where callbacks go: a name, name:port or scheme://name:port")
    receiver: str | None = _word(100, "the name of the receiver that callbacks go to")
    error: str | None = _word(64, "the error code of the order")
    reference: Reference | None = None
    reference_prefix: Reference | None = None
    ordering_key: Reference | None = None
    batch: RowId | None = None
    since: Time | None = None
    until: Time | None = None
    zone: str | None = Field(None, max_length=64, description="Europe/Berlin, or +01:00")


class OrderQuery(FilterQuery):
    """Which orders."""

    state: WireState | None = None
    callback: Literal["pending", "delivered", "dead", "held", "none"] | None = None
    fingerprint: str | None = _word(16, "of a kind of failure, in one of their runs")
    waiting: Reference | None = Field(None, description="`any`, or what orders wait for")
    text: str | None = Field(
        None, max_length=MAX_TEXT, description="a name of an order, or words of its arguments"
    )
    ended_since: Time | None = None
    ended_until: Time | None = None
    ids: Annotated[tuple[RowId, ...] | None, BeforeValidator(_split)] = Field(
        None, min_length=1, max_length=MAX_IDS
    )

    def filter(self, kernel: Kernel, session: Session, who: Identity) -> OrderFilter:
        """Return what the stages understand, narrowed to what the key may see."""
        found = _understood(read_orders(_text_of(self), _known(kernel, session, who)))
        return replace(_seen(found, who), as_callers_see=True)


class CallbackQuery(FilterQuery):
    """Which callbacks."""

    state: DeliveryState | None = None
    died_of: str | None = _word(32, "why it is dead")
    order: RowId | None = None

    def filter(self, kernel: Kernel, session: Session, who: Identity) -> CallbackFilter:
        """Return what the stages understand, narrowed to what the key may see."""
        found = _understood(read_callbacks(_text_of(self), _known(kernel, session, who)))
        return _seen(found, who)


class ListQuery(OrderQuery):
    """The query string of GET /v1/orders."""

    cursor: RowId | None = None
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class CallbackListQuery(CallbackQuery):
    """The query string of GET /v1/deliveries."""

    cursor: str | None = Field(None, max_length=80, pattern=r"^[0-9a-fTZ:.~-]+$")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class ExportQuery(BaseModel):
    """What exports take besides a filter."""

    format: Literal["csv", "json"] = "json"


class OrderExport(ExportQuery, OrderQuery):
    """The query string of GET /v1/orders/export."""


class CallbackExport(ExportQuery, CallbackQuery):
    """The query string of GET /v1/deliveries/export."""


def _text_of(query: BaseModel) -> Mapping[str, str]:
    given = query.model_dump(exclude_none=True)
    return {n: ",".join(v) if isinstance(v, tuple) else str(v) for n, v in given.items()}


def _known(kernel: Kernel, session: Session, who: Identity) -> Known:
    """Return what the fields are read by: a caller's key knows no names but its own."""
    found = known(session, Here(kernel.clock.now(), zone=None))
    return found if who.sees is None else replace(found, callers={who.name: who.sees})


def _seen(wanted: Filter, who: Identity) -> Filter:
    owner = wanted.caller_id if who.sees is None else who.sees
    return replace(wanted, caller_id=owner, tags=who.tags)


# The API's own names of fields.
_NAMES = {"tag": "select_tag", "q": "text"}


def _understood(read: Read[Filter]) -> Filter:
    """Return the filter. Raises InvalidQuery with a pointer to each field that is wrong."""
    if read.wrong:
        named = {_NAMES.get(name, name): said for name, said in read.wrong.items()}
        errors = [problem(f"/{escape_pointer(n)}", "invalid", said) for n, said in named.items()]
        raise InvalidQuery(errors=errors)
    return read.wanted
