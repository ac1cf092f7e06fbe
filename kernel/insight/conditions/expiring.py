"""Facts that change slowly: what ends soon, and whether the start would refuse the database.

Credentials have to be opened to be read, so a process asks once a minute.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from kernel.callers.key_terms import SOON, USED, is_needed
from kernel.db.tables.callers import ApiKey, Caller
from kernel.errors import ConfigurationError
from kernel.insight.conditions.facts import Expiring
from kernel.insight.receivers import all_receivers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

KEEP_SECONDS = 60.0
# The most keys that are looked at.
LIMIT = 200


@dataclass(frozen=True, slots=True)
class SlowFacts:
    """What was found within the last minute. ``unfit``: why the start would refuse the database."""

    unfit: str = ""
    keys: Sequence[Expiring] = ()
    certificates: Sequence[Expiring] = ()


class _Kept(SingleFlightCache[SlowFacts]):
    """The facts of one kernel."""

    def __init__(self, _kernel: Kernel) -> None:
        super().__init__(KEEP_SECONDS)


def slow_facts(kernel: Kernel) -> SlowFacts:
    """Return them, at most a minute old. Raises the database's errors."""
    return kernel.one(_Kept).get(lambda: _ask(kernel))


def forget_slow_facts(kernel: Kernel) -> None:
    """Ask again at the next call: a person has changed something."""
    kernel.one(_Kept).forget()


def _ask(kernel: Kernel) -> SlowFacts:
    now, unfit = kernel.clock.now(), ""
    try:
        startup.check_database(kernel)
    except ConfigurationError as error:
        unfit = error.message
    with kernel.read_session() as session:
        keys = list(_keys(session.connection(), now))
        ending = [
            Expiring(one.receiver.name, one.caller, one.expires_at)
            for one in all_receivers(session)
            if one.expires_at is not None and one.expires_soon(now)
        ]
    return SlowFacts(unfit, keys, ending)


def _keys(connection: Connection, now: datetime) -> Iterator[Expiring]:
    """Yield callers' keys that end soon, or ended within `USED`, and are still needed."""
    keys: Any = ApiKey.__table__
    named = (keys.c.prefix, keys.c.caller_id, keys.c.expires_at, keys.c.used_at, Caller.name)
    of_callers = (keys.c.revoked_at.is_(None), keys.c.person_id.is_(None))
    lasts = or_(keys.c.expires_at.is_(None), keys.c.expires_at > now + SOON)
    lasting = set(connection.scalars(select(keys.c.caller_id).where(*of_callers, lasts)))
    asked = (
        select(*named)
        .join(Caller, Caller.id == keys.c.caller_id)
        .where(*of_callers, keys.c.expires_at.between(now - USED, now + SOON))
        .order_by(keys.c.expires_at)
        .limit(LIMIT)
    )
    for row in connection.execute(asked):
        if is_needed(row, lasting, now):
            yield Expiring(row.prefix, row.name, row.expires_at)
