"""What may be paused: one vocabulary for pages, commands, the API and acts."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from kernel.callers import identity, receivers
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.pauses import is_known_host
from kernel.errors import InvalidOrder, NotFound
from kernel.formats.hosts import read_host
from kernel.formats.order_request import problem
from kernel.handlers.registering.refusals import TAG

# What is paused where one of these is.
OF_ORDERS = ("tag", "orders_of")
INVALID = "the pause is not valid"
ONE = "give one thing to pause or to resume"
PARTS = "what is paused is a host, caller, receiver, tag or orders_of"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a pause holds, by the name of its column in `kernel_pauses`; one of them is given.

    ``host``: callbacks to a name, or name:port. ``caller_id``, ``receiver_id``: callbacks of a
    caller, of a receiver. ``tag``: orders of a tag. ``orders_of``: orders of the caller of this id.
    """

    host: str | None = None
    caller_id: int | None = None
    receiver_id: int | None = None
    tag: str | None = None
    orders_of: int | None = None

    def __post_init__(self) -> None:
        """Raise InvalidOrder unless one is given, and for what is no tag."""
        given = [one.name for one in fields(self) if getattr(self, one.name) is not None]
        if len(given) != 1:
            raise InvalidOrder(INVALID, errors=[problem("", "one_of", ONE)])
        if self.tag is not None and not TAG.fullmatch(self.tag):
            said = f"{self.tag[:100]!r} is no tag of orders"
            raise InvalidOrder(INVALID, errors=[problem("/tag", "invalid", said)])

    def spelled(self) -> "Subject":
        """Return the same with its host as addresses are spelled. Raises ValueError for none.

        An older release has stored hosts as they were typed, which can be resumed as they are.
        """
        return self if self.host is None else Subject(host=read_host(self.host))

    @property
    def what(self) -> str:
        """Which of them is given."""
        return next(one.name for one in fields(self) if getattr(self, one.name) is not None)

    @property
    def values(self) -> dict[str, Any]:
        """What a row of `kernel_pauses` has of it."""
        return {self.what: getattr(self, self.what)}

    @property
    def is_of_orders(self) -> bool:
        """Whether orders are held, and not callbacks."""
        return self.what in OF_ORDERS

    @property
    def noun(self) -> str:
        """What the verb of an act begins with."""
        return "orders" if self.is_of_orders else "deliveries"

    @property
    def where(self) -> ColumnElement[bool]:
        """The condition that a row of `kernel_pauses` is a pause of this."""
        condition: ColumnElement[bool] = PAUSES.c[self.what] == getattr(self, self.what)
        return condition

    def named(self, session: Session) -> str:
        """Say what is paused, in words that outlive its row. Raises NotFound for what is not there.

        Of a host and of a tag anything is there.
        """
        if self.host is not None or self.tag is not None:
            return f"host {self.host}" if self.tag is None else f"tag {self.tag}"
        if self.receiver_id is not None:
            asked = select(Caller.name, RECEIVERS.c.name).join_from(
                RECEIVERS, Caller, Caller.id == RECEIVERS.c.caller_id
            )
            row = session.execute(asked.where(RECEIVERS.c.id == self.receiver_id)).one_or_none()
            found = None if row is None else f"receiver {row[0]} {row[1]}"
        else:
            whose = self.caller_id if self.orders_of is None else self.orders_of
            name = session.scalar(select(Caller.name).where(Caller.id == whose))
            found = None if name is None else f"caller {name}"
        if found is None:
            raise NotFound
        return found


def subject_named(session: Session, what: str, name: str) -> Subject:
    """Return what people call ``name``; ``what`` is a part of `Subject`, without `_id`.

    A receiver is called CALLER/NAME. Raises NotFound for a caller or receiver that is not there,
    InvalidOrder for another ``what``, and ValueError for what is no host.
    """
    if what == "host":
        return Subject(host=name).spelled()
    if what == "tag":
        return Subject(tag=name)
    if what == "caller":
        return Subject(caller_id=identity.find(session, name).id)
    if what == "orders_of":
        return Subject(orders_of=identity.find(session, name).id)
    if what == "receiver":
        caller, _, receiver = name.partition("/")
        return Subject(receiver_id=receivers.find(session, caller, receiver).id)
    raise InvalidOrder(INVALID, errors=[problem("", "one_of", PARTS)])


def is_known(session: Session, subject: Subject, tags: Collection[str] = ()) -> bool:
    """Tell whether there ever was what a host or a tag could hold; it may be misspelt otherwise.

    ``tags``: those of this process's handlers.
    """
    if subject.host is not None:
        return is_known_host(session, subject.host)
    if subject.tag is None or subject.tag in tags:
        return True
    asked = select(ORDERS.c.id).where(
        ORDERS.c.state.in_(list(OrderState)), ORDERS.c.select_tag == subject.tag
    )
    return session.scalar(asked.limit(1)) is not None
