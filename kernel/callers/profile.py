"""What a caller's callbacks are sent with: secrets, callback rules, schedule, receivers."""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, or_, select

from kernel.callers.callback_rules import CLOSED, granted
from kernel.callers.matching import NAMED, is_named, nearest
from kernel.callers.receivers import Receiver, ShapeVersion, receivers_of, versions_of
from kernel.db.tables.callers import Caller, SigningSecret
from kernel.db.tables.sealed import Sealed, sealed
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallbackProfile:
    """What a caller's callbacks carry and may reach. Secrets are never shown.

    ``signing``: the secrets that sign, the newest first; `secrets` opens them.
    ``receivers`` may hold drafts; ``versions`` are those of their shapes, the oldest first.
    ``is_listed``: nothing is sent to a URL that no receiver matches.
    """

    signing: tuple[Sealed, ...] = ()
    grants: CallbackPolicy = CLOSED
    schedule: tuple[float, ...] | None = None
    receivers: tuple[Receiver, ...] = ()
    versions: tuple[ShapeVersion, ...] = ()
    is_listed: bool = False

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The secrets that sign. Raises SecretsLocked when no key opens one."""
        return tuple(one.open() for one in self.signing)

    def check_open(self) -> None:
        """Raise SecretsLocked if a secret that signs cannot be opened."""
        for one in self.signing:
            one.open()

    @property
    def is_plain(self) -> bool:
        """Whether the caller has no receiver, has had none, and may send anywhere."""
        return not (self.receivers or self.versions or self.is_listed)

    @property
    def shapes_until(self) -> int:
        """The highest id of a shape of the caller's; 0 where there is none."""
        return self.versions[-1].id if self.versions else 0

    def receiver_for(self, url: str) -> Receiver | None:
        """Return the receiver that ``url`` names or is below, the one with the longest prefix.

        Drafts take no part, nor does what has no URL.
        """
        known = [one for one in self.receivers if not one.is_draft and one.url]
        if is_named(url):
            name = url.removeprefix(NAMED)
            return next((one for one in known if one.name == name), None)
        place = nearest(url, {at: one.url for at, one in enumerate(known)})
        return None if place is None else known[place]

    def is_paused(self, url: str) -> bool:
        """Tell whether a person has paused the receiver that ``url`` belongs to."""
        if not any(one.is_paused for one in self.receivers):
            return False
        receiver = self.receiver_for(url)
        return receiver is not None and receiver.is_paused

    def retry_policy(self, base: RetryPolicy) -> RetryPolicy:
        """Return the global policy, with this caller's own schedule if it has one."""
        return base if self.schedule is None else replace(base, schedule=self.schedule)


def profiles_of(
    connection: Connection, caller_ids: Collection[int], now: datetime
) -> dict[int, CallbackProfile]:
    """Return the profiles of these callers, each with the secrets in force, the newest first."""
    signing: dict[int, list[Sealed]] = {caller_id: [] for caller_id in caller_ids}
    for caller_id, secret in connection.execute(
        select(SigningSecret.caller_id, SigningSecret.secret)
        .where(
            SigningSecret.caller_id.in_(caller_ids),
            or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now),
        )
        .order_by(SigningSecret.id.desc())
    ):
        signing[caller_id].append(sealed(connection, secret))
    asked = select(Caller.id, *_RULES).where(Caller.id.in_(caller_ids))
    callers = connection.execute(asked).all()
    profiles = {row.id: _profile(signing[row.id], row) for row in callers}
    # A caller without receivers costs no question more.
    with_receivers = [row.id for row in callers if row.has_receivers]
    if with_receivers:
        versions = versions_of(connection, with_receivers)
        for caller_id, receivers in receivers_of(connection, with_receivers).items():
            profile = profiles[caller_id]
            profiles[caller_id] = replace(
                profile, receivers=receivers, versions=versions[caller_id]
            )
    return profiles


_RULES = (
    *(Caller.allow_nets, Caller.allow_hosts, Caller.schedule),
    *(Caller.is_listed, Caller.has_receivers),
)


def _profile(signing: list[Sealed], row: Any) -> CallbackProfile:
    schedule = None if row.schedule is None else _schedule(row.schedule)
    grants = granted(row.allow_nets, row.allow_hosts)
    return CallbackProfile(tuple(signing), grants, schedule, is_listed=row.is_listed)


def _schedule(stored: str) -> tuple[float, ...] | None:
    """Return a caller's schedule; None, the setting's, for one that older releases let in."""
    try:
        found = tuple(json.loads(stored))
        RetryPolicy(schedule=found)
    except (TypeError, ValueError):
        log.warning("a caller's schedule makes no sense, the setting's holds: %s", stored[:100])
        return None
    return found
