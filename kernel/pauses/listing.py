"""Pauses in force, as people are told of them, and which one holds an order or a callback."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select
from sqlalchemy.orm import Session

from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import Receiver, receivers_of
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.receivers import RECEIVERS
from kernel.formats.hosts import hosts_of
from kernel.pauses.subjects import OF_ORDERS, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseShown:
    """A pause in force. Which of the first five is not None says what is paused: see `Subject`.

    ``caller``: the name of the caller, of a receiver's too. ``receiver``: a receiver's name.
    ``why``, ``by_whom``: hostile text; None where it is not known. ``is_adoption``: ends when the
    caller's drafts are confirmed.
    """

    id: int
    host: str | None
    caller_id: int | None
    receiver_id: int | None
    tag: str | None
    orders_of: int | None
    caller: str | None
    receiver: str | None
    since: datetime
    until: datetime | None
    by_whom: str | None
    why: str | None
    is_adoption: bool = False

    @property
    def what(self) -> str:
        """What is paused: the name of a part of `Subject`."""
        return next(one for one in Subject.__slots__ if getattr(self, one) is not None)

    @property
    def name(self) -> str:
        """How people call what is paused: a host, a tag, a caller, or CALLER/RECEIVER."""
        if self.receiver_id is not None:
            return f"{self.caller}/{self.receiver}"
        return self.host or self.tag or self.caller or ""

    @property
    def resumes(self) -> tuple[tuple[str, str], ...]:
        """The fields with which a page resumes it; none for one that drafts have made."""
        if self.is_adoption:
            return ()
        return (("what", self.what.removesuffix("_id")), ("of", self.name))

    @property
    def is_of_orders(self) -> bool:
        """Whether orders are held, and not callbacks."""
        return self.what in OF_ORDERS

    @property
    def subject(self) -> Subject:
        """What it is a pause of."""
        return Subject(**{self.what: getattr(self, self.what)})


def list_pauses(asked_of: Session | Connection, limit: int | None = None) -> list[PauseShown]:
    """Return the pauses in force, the oldest first."""
    return [_shown(row) for row in asked_of.execute(_asked().limit(limit))]


def find_pause(session: Session, pause_id: int) -> PauseShown | None:
    """Return the pause of this number; None when it is not in force."""
    return _first(session, PAUSES.c.id == pause_id)


def holding_order(session: Session, order: Any) -> PauseShown | None:
    """Return a pause that holds an order, by its ``select_tag`` and ``caller_id``.

    It holds orders that are pending, and those that wait for it. One that runs goes on.
    """
    return _first(
        session,
        or_(PAUSES.c.tag == order.select_tag, PAUSES.c.orders_of == order.caller_id),
    )


def holding_callback(session: Session, delivery: Any) -> PauseShown | None:
    """Return a pause that holds a callback, by its ``caller_id``, ``origin`` and ``url``."""
    receiver = receiver_of(session, delivery)
    of: list[ColumnElement[bool]] = [
        PAUSES.c.host.in_(sorted(hosts_of(delivery.origin))),
        PAUSES.c.caller_id == delivery.caller_id,
    ]
    if receiver is not None:
        of.append(PAUSES.c.receiver_id == receiver.id)
    return _first(session, or_(*of))


def receiver_of(session: Session, delivery: Any) -> Receiver | None:
    """Return the receiver that a callback goes to now, by its ``caller_id`` and ``url``."""
    receivers = receivers_of(session.connection(), [delivery.caller_id])[delivery.caller_id]
    return CallbackProfile(receivers=receivers).receiver_for(delivery.url)


def _first(session: Session, where: ColumnElement[bool]) -> PauseShown | None:
    row = session.execute(_asked().where(where).limit(1)).first()
    return None if row is None else _shown(row)


def _asked() -> Select[Any]:
    owner = func.coalesce(PAUSES.c.caller_id, PAUSES.c.orders_of, RECEIVERS.c.caller_id)
    return (
        select(PAUSES, Caller.name.label("caller"), RECEIVERS.c.name.label("receiver"))
        .outerjoin_from(PAUSES, RECEIVERS, RECEIVERS.c.id == PAUSES.c.receiver_id)
        .outerjoin(Caller, Caller.id == owner)
        .order_by(PAUSES.c.id)
    )


def _shown(row: Row[Any]) -> PauseShown:
    same = ("id", *Subject.__slots__, "caller", "receiver", "until", "by_whom", "why")
    given = {name: getattr(row, name) for name in same}
    return PauseShown(**given, since=row.created_at, is_adoption=row.reason is not None)
