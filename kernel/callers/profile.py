"""What a caller's callbacks are sent with: secrets, static headers, callback rules, schedule."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, or_, select

from kernel.db.tables.callers import Caller, SigningSecret
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy

# Allows the public Internet alone.
CLOSED = CallbackPolicy()


@dataclass(frozen=True, slots=True)
class CallbackProfile:
    """What a caller's callbacks carry and may reach. Secrets and header values are never shown."""

    secrets: tuple[str, ...] = field(repr=False, default=())
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    grants: CallbackPolicy = CLOSED
    schedule: tuple[float, ...] | None = None

    def retry_policy(self, base: RetryPolicy) -> RetryPolicy:
        """Return the global policy, with this caller's own schedule if it has one."""
        return base if self.schedule is None else replace(base, schedule=self.schedule)


def granted(nets: str, hosts: str) -> CallbackPolicy:
    """Read a caller's callback rules from its row (two JSON lists)."""
    if nets == hosts == "[]":
        return CLOSED
    return CallbackPolicy.from_strings(json.loads(nets), json.loads(hosts))


def profiles_of(
    connection: Connection, caller_ids: Collection[int], now: datetime
) -> dict[int, CallbackProfile]:
    """Return the profiles of these callers, each with the secrets in force, the newest first."""
    secrets: dict[int, list[str]] = {caller_id: [] for caller_id in caller_ids}
    for caller_id, secret in connection.execute(
        select(SigningSecret.caller_id, SigningSecret.secret)
        .where(
            SigningSecret.caller_id.in_(caller_ids),
            or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now),
        )
        .order_by(SigningSecret.id.desc())
    ):
        secrets[caller_id].append(secret)
    callers = connection.execute(select(Caller.id, *_RULES).where(Caller.id.in_(caller_ids)))
    return {row.id: _profile(secrets[row.id], *row[1:]) for row in callers}


_RULES = (Caller.headers, Caller.allow_nets, Caller.allow_hosts, Caller.schedule)


def _profile(
    secrets: list[str], headers: str, nets: str, hosts: str, plan: str | None
) -> CallbackProfile:
    schedule = None if plan is None else tuple(json.loads(plan))
    return CallbackProfile(tuple(secrets), json.loads(headers), granted(nets, hosts), schedule)
