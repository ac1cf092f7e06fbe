"""Hosts that need an operator: due, held and dead callbacks, breakers and pauses by host."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.formats.hosts import hosts_of
from kernel.insight.backlog import RECENT, unasked
from kernel.insight.workers import Process, target_of
from kernel.pauses.listing import list_pauses
from kernel.runtime.kernel import Kernel

SHOWN = 50
# The most callbacks counted for one host and state.
LIMIT = 1_000
UNSETTLED = (DeliveryState.PENDING, DeliveryState.HELD, DeliveryState.DEAD)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LONG_AHEAD = timedelta(days=1000)


class Breaker(StrEnum):
    """State of an origin's breaker over all dispatchers, each of which has one of its own."""

    CLOSED = "closed"
    HALF = "half"
    OPEN = "open"


@dataclass(slots=True)
class Host:
    """An origin, or a paused host without unfinished callbacks. Counts stop at `LIMIT`."""

    # scheme://host:port; for a paused host the name as the operator wrote it.
    origin: str
    breaker: Breaker = Breaker.CLOSED
    # Number of living processes in which a caller's breaker for it is open.
    open_in: int = 0
    # The ids of these callers; of none where an older release tells of it.
    open_for: set[int] = field(default_factory=set)
    # Paused hosts that cover this origin, as the operators wrote them.
    pauses: list[str] = field(default_factory=list)
    oldest_due: datetime | None = None
    due: int = 0
    held: int = 0
    # Callbacks given up in the last 24 hours, by no person's wish.
    dead: int = 0
    # Ids of the callers that have deliveries to it, by state.
    callers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def host(self) -> str:
        """The name with which an operator pauses it: name:port."""
        return self.origin.partition("://")[2] or self.origin

    @property
    def is_settled(self) -> bool:
        """Whether it has nothing but callbacks that died long ago, or that a person dropped."""
        waits = any(ids for state, ids in self.callers.items() if state != DeliveryState.DEAD)
        is_quiet = not self.pauses and self.breaker is Breaker.CLOSED
        return is_quiet and not waits and not self.dead

    @property
    def rank(self) -> tuple[bool, bool, datetime, str]:
        """Sort key: paused hosts first, then open or half-open breakers, then the longest due."""
        due = self.oldest_due or LONG_AGO + 100 * LONG_AHEAD
        return (not self.pauses, self.breaker is Breaker.CLOSED, due, self.origin)


def hosts(kernel: Kernel, processes: Iterable[Process]) -> tuple[list[Host], int]:
    """Return the first `SHOWN` hosts with unsettled callbacks, a pause or a breaker that is not
    closed, and the number of further ones.

    ``processes``: the living ones, whose breakers count.
    """
    now = kernel.clock.now()
    with kernel.read_session() as session:
        found = _owed(session, now)
        _note_breakers(found, processes)
        _note_pauses(found, [one.host for one in list_pauses(session) if one.host is not None])
        ranked = sorted(found.values(), key=lambda one: one.rank)
        for host in ranked[:SHOWN]:
            _count(session, host, now)
    shown = [host for host in ranked[:SHOWN] if not host.is_settled]
    return shown, max(0, len(ranked) - SHOWN)


def _owed(session: Session, now: datetime) -> dict[str, Host]:
    """Find origins and callers with unsettled deliveries, lane by lane."""
    moment = DELIVERIES.c.next_attempt_at
    lanes = skip_scan(STATE_AND_LANE, func.min(moment), func.max(moment)).where(
        DELIVERIES.c.state.in_(UNSETTLED)
    )
    found: dict[str, Host] = {}
    for state, _, caller_id, origin, first, last in session.execute(lanes):
        if state == DeliveryState.DEAD and last < now - RECENT:
            continue
        host = found.setdefault(origin, Host(origin))
        host.callers[state].add(caller_id)
        if state == DeliveryState.PENDING and first <= now:
            host.oldest_due = min(first, host.oldest_due or first)
    return found


def _note_breakers(found: dict[str, Host], processes: Iterable[Process]) -> None:
    for process in processes:
        broken: dict[str, set[int]] = defaultdict(set)
        for origin, caller_id in map(target_of, process.broken):
            broken[origin] |= set() if caller_id is None else {caller_id}
        for origin, callers in broken.items():
            host = found.setdefault(origin, Host(origin))
            host.breaker, host.open_in = Breaker.OPEN, host.open_in + 1
            host.open_for |= callers
        for origin, _ in map(target_of, process.probing):
            host = found.setdefault(origin, Host(origin))
            if host.breaker is Breaker.CLOSED:
                host.breaker = Breaker.HALF


def _note_pauses(found: dict[str, Host], paused: Iterable[str]) -> None:
    for name in paused:
        covered = [host for host in found.values() if name in hosts_of(host.origin)]
        for host in covered or [found.setdefault(name, Host(name))]:
            host.pauses.append(name)


def _count(session: Session, host: Host, now: datetime) -> None:
    """Count the due, held and recently dead callbacks of a host."""
    host.due = _counted(session, host, DeliveryState.PENDING, LONG_AGO, now)
    host.held = _counted(session, host, DeliveryState.HELD, LONG_AGO, now + LONG_AHEAD)
    host.dead = _counted(session, host, DeliveryState.DEAD, now - RECENT, now + LONG_AHEAD)


def _counted(
    session: Session, host: Host, state: DeliveryState, since: datetime, until: datetime
) -> int:
    if not host.callers[state]:
        return 0
    values = {"state": state, "callers": sorted(host.callers[state]), "origin": host.origin}
    asked = _COUNT_DEAD if state is DeliveryState.DEAD else _COUNT
    return session.scalar(asked, {**values, "since": since, "until": until}) or 0


_ROWS = (
    select(DELIVERIES.c.state)
    .where(
        DELIVERIES.c.state == bindparam("state"),
        DELIVERIES.c.is_retry.in_([False, True]),
        DELIVERIES.c.caller_id.in_(bindparam("callers", expanding=True)),
        DELIVERIES.c.origin == bindparam("origin"),
        # For a dead delivery, next_attempt_at is the time at which it was given up.
        DELIVERIES.c.next_attempt_at.between(bindparam("since"), bindparam("until")),
    )
    .limit(LIMIT)
)
_COUNT = select(func.count()).select_from(_ROWS.subquery())
# A statement of its own: the others read no rows.
_DEAD = _ROWS.where(unasked(DELIVERIES.c.died_of))
_COUNT_DEAD = select(func.count()).select_from(_DEAD.subquery())
