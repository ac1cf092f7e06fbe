"""What an operator sets for a caller's callbacks, and what is refused."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernel.callers.terms import check_fits, check_schedule
from kernel.config.near import check_network
from kernel.db.tables.callers import Caller, Share
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy

log = logging.getLogger(__name__)

# Allows the public Internet alone.
CLOSED = CallbackPolicy()


@dataclass(frozen=True, slots=True)
class CallerRules:
    """What an operator sets for a caller's callbacks; None leaves it as it is.

    ``schedule``: seconds between attempts, empty for the setting's. ``listed``: its callbacks go to
    its receivers alone. ``max_running``: how many of its orders run at once, 0 for any number.
    """

    nets: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    schedule: Sequence[float] | None = None
    listed: bool | None = None
    max_running: int | None = None

    def check(self, base: RetryPolicy) -> None:
        """Refuse rules that cannot hold beside the settings' ``base``. Raises ValueError."""
        if self.schedule:
            check_schedule(tuple(self.schedule))
            check_fits(self.schedule, base.give_up_after)

    def apply(self, caller: Caller) -> None:
        """Write the rules into ``caller``. Raises ValueError that says what is wrong."""
        for net in self.nets or ():
            check_network(net.strip())
        CallbackPolicy.from_strings(self.nets or (), self.hosts or ())
        if self.nets is not None:
            caller.allow_nets = json.dumps(list(self.nets))
        if self.hosts is not None:
            caller.allow_hosts = json.dumps(list(self.hosts))
        if self.schedule is not None:
            caller.schedule = _checked_schedule(self.schedule)
        if self.listed is not None:
            caller.is_listed = self.listed
        if self.max_running is not None:
            self._share(caller, self.max_running)

    def _share(self, caller: Caller, most: int) -> None:
        if not most:
            caller.share = None
        elif caller.share is None:
            caller.share = Share(max_running=most)
        else:
            caller.share.max_running = most


def granted(nets: str, hosts: str) -> CallbackPolicy:
    """Read a caller's callback rules from its row (two JSON lists).

    A rule that makes no sense opens nothing: an older release may have let it in, and callbacks of
    others are read with it.
    """
    if nets == hosts == "[]":
        return CLOSED
    try:
        return CallbackPolicy.from_strings(json.loads(nets), json.loads(hosts))
    except (AttributeError, TypeError, ValueError):
        return _sound(nets, hosts)


@lru_cache(maxsize=256)
def _sound(nets: str, hosts: str) -> CallbackPolicy:
    """Return what makes sense of a caller's rules, and log what does not: once, not each time."""
    policy = CLOSED
    for name, stored in (("nets", nets), ("hosts", hosts)):
        for one in () if stored == "[]" else _listed(stored):
            try:
                policy = policy.merge(CallbackPolicy.from_strings(**{name: [str(one)]}))
            except ValueError as error:
                log.warning("a rule of a caller's callbacks opens nothing: %s", error)
    return policy


def _listed(stored: str) -> Sequence[object]:
    try:
        found = json.loads(stored)
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    log.warning("rules of a caller's callbacks open nothing, they are no list: %s", stored[:100])
    return ()


def _checked_schedule(schedule: Sequence[float]) -> str | None:
    if not schedule:
        return None
    check_schedule(tuple(schedule))
    return json.dumps(list(schedule))
