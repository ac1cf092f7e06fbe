"""`Wait`, which a handler returns that has to wait, and `Event`, which its next run finds."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

EVENT = "event:"
CHILDREN = "children"
# How an event may be named; no comma, which stands between the names of one wait.
EVENT_NAME = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,99}")
# The longest text that says what an order waits for, in characters.
MAX_WHAT = 255


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the order was told: what, with which data, by whom, and when (UTC)."""

    name: str
    data: dict[str, Any]
    told_by: str
    told_at: datetime


class Wait:
    """Return it from a handler: the order waits for an event, and no worker is held meanwhile.

    ::

        return Wait("approved", "rejected", until=run.now + timedelta(hours=8))

    What the run has written is committed with it. The next run begins when one of the events is
    told, at once if it was told before; or at ``until``, and then the handler decides by what it
    finds in ``run.events``. Without ``until`` the order waits for KERNEL_LONGEST_WAIT_DAYS at most.
    Raises TypeError or ValueError for names that no event can have, and for an ``until`` without
    a time zone.
    """

    __slots__ = ("names", "until", "what")

    def __init__(self, *names: str, until: datetime | None = None) -> None:
        if not names:
            raise ValueError('Wait: name the event, as in Wait("approved")')
        for one in names:
            check_event_name(one, "Wait")
        self._set(EVENT + ",".join(dict.fromkeys(names)), tuple(dict.fromkeys(names)), until)

    @classmethod
    def children(cls, until: datetime | None = None) -> Self:
        """Wait until every child of the order has ended, or until ``until``."""
        made = cls.__new__(cls)
        made._set(CHILDREN, (), until)
        return made

    def _set(self, what: str, names: tuple[str, ...], until: datetime | None) -> None:
        if len(what) > MAX_WHAT:
            raise ValueError(f"Wait: the names are {MAX_WHAT - len(EVENT)} characters at most")
        if until is not None and not isinstance(until, datetime):
            raise TypeError(f"Wait: until is a datetime, not {type(until).__name__}")
        if until is not None and until.utcoffset() is None:
            raise ValueError("Wait: until has no time zone; write run.now + timedelta(...)")
        # As `kernel_gates.waiting_for` has it.
        self.what, self.names, self.until = what, names, until


def check_event_name(name: object, where: str) -> None:
    """Raise TypeError or ValueError for what cannot be an event's name."""
    if not isinstance(name, str):
        raise TypeError(f"{where}: an event's name is a str, not {type(name).__name__}")
    if not EVENT_NAME.fullmatch(name):
        raise ValueError(
            f"{where}: event {name!r:.120}: use lower-case letters, digits and _ . : - "
            "(at most 100, no other first than a letter or digit)"
        )


def awaited_events(what: str | None) -> tuple[str, ...]:
    """Return the names of the events that an order waits for, by its `Wait.what`."""
    if what is None or not what.startswith(EVENT):
        return ()
    return tuple(what.removeprefix(EVENT).split(","))
