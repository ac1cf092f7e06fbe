"""Acts are written here: one plain INSERT in the transaction of the change that it tells of.

No change, no act: a change that is rolled back takes its act with it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, insert, literal
from sqlalchemy.orm import Session

from kernel.callers.audit.actor import SYSTEM, Actor
from kernel.db.clock import DatabaseTime
from kernel.db.tables.audit import ACTS

# The longest texts that the columns take, in characters.
ACTOR, ADDRESS, TARGET, REASON = 200, 255, 255, 500
Facts = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and why. Without an argument: kernel itself."""

    actor: Actor = SYSTEM
    reason: str | None = None

    @property
    def who(self) -> str:
        """The actor's name as every column of one takes it."""
        return cleaned(self.actor.name, ACTOR)

    @property
    def why(self) -> str | None:
        """The reason as every column of one takes it; None for none."""
        return (self.reason and cleaned(self.reason, REASON).strip()) or None

    def record(
        self,
        asking: Session | Connection,
        verb: str,
        target: str,
        *,
        before: Facts = None,
        after: Facts = None,
    ) -> None:
        """Write the act in the transaction of the change.

        ``verb`` is ``noun.verb``, ``target`` a short text such as ``order ID``. ``before`` and
        ``after`` tell what changed, and hold nothing secret. Raises the database's errors: then the
        change is not made either.
        """
        actor = self.actor
        asking.execute(
            _INSERT,
            {
                "actor": self.who,
                "via": actor.via,
                "address": actor.address and cleaned(actor.address, ADDRESS),
                "key_prefix": actor.key,
                "verb": verb,
                "target": cleaned(target, TARGET),
                "before": _written(before),
                "after": _written(after),
                "reason": self.why,
            },
        )


BY_SYSTEM = By()
# The time is the statement's, on every database.
_INSERT = insert(ACTS).values(at=DatabaseTime(literal(0, BigInteger())))


def cleaned(text: str, length: int) -> str:
    """Return text that every database stores: no control character, and no half of a pair."""
    known = text.encode("utf-8", "replace").decode()[:length]
    return "".join(one if one.isprintable() else " " for one in known)


def _written(facts: Facts) -> str | None:
    return None if facts is None else json.dumps(dict(facts), sort_keys=True, default=str)
