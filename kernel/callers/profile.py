"""On whose behalf a callback is sent: a caller's secrets, headers, callback rules and schedule."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, or_, select

from kernel.db.tables.orders import Caller, SigningSecret
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy

# RFC 9110, section 5.6.2 (token) and 5.5 (field values: visible characters and inner spaces).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")
# The callback policy that opens nothing.
CLOSED = CallbackPolicy()
# What the transport and the signature say themselves.
RESERVED = re.compile(
    r"accept-encoding|connection|content-.*|expect|host|keep-alive|proxy-.*|te|trailer"
    r"|traceparent|tracestate|transfer-encoding|upgrade|webhook-.*|x-request-id"
)


@dataclass(frozen=True, slots=True)
class Sender:
    """What a caller's callbacks carry and may reach. Secrets and header values are never shown."""

    secrets: tuple[str, ...] = field(repr=False, default=())
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    grants: CallbackPolicy = CLOSED
    schedule: tuple[float, ...] | None = None

    def retry_policy(self, base: RetryPolicy) -> RetryPolicy:
        """Return the global policy, with this caller's own schedule if it has one."""
        return base if self.schedule is None else replace(base, schedule=self.schedule)


@dataclass(frozen=True, slots=True)
class CallerRules:
    """What an operator sets for a caller's callbacks; None leaves it as it is.

    ``schedule``: seconds between attempts, empty for the setting's. ``headers``: sent with every
    callback; an empty value removes one.
    """

    nets: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    schedule: Sequence[float] | None = None
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def apply(self, caller: Caller) -> None:
        """Write the rules into ``caller``. Raises ValueError that says what is wrong."""
        CallbackPolicy.from_strings(self.nets or (), self.hosts or ())
        if self.nets is not None:
            caller.allow_nets = json.dumps(list(self.nets))
        if self.hosts is not None:
            caller.allow_hosts = json.dumps(list(self.hosts))
        if self.schedule is not None:
            caller.schedule = _checked_schedule(self.schedule)
        for name, value in self.headers.items():
            check_header(name, value)
        kept = json.loads(caller.headers) | dict(self.headers)
        caller.headers = json.dumps({name: value for name, value in kept.items() if value})


def _checked_schedule(schedule: Sequence[float]) -> str | None:
    if not schedule:
        return None
    RetryPolicy(schedule=tuple(schedule))
    return json.dumps(list(schedule))


def check_header(name: str, value: str) -> None:
    """Refuse a static header that could break or forge a request. Raises ValueError."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if RESERVED.fullmatch(name.lower()):
        raise ValueError(f"{name} is set by kernel itself")
    if value and not HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} must be visible ASCII on one line")


def granted(nets: str, hosts: str) -> CallbackPolicy:
    """Read a caller's callback rules from its row (two JSON lists)."""
    if nets == hosts == "[]":
        return CLOSED
    return CallbackPolicy.from_strings(json.loads(nets), json.loads(hosts))


def senders_of(
    connection: Connection, caller_ids: Collection[int], now: datetime
) -> dict[int, Sender]:
    """Return the senders of these callers, each with the secrets in force, the newest first."""
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
    return {row.id: _sender(secrets[row.id], *row[1:]) for row in callers}


_RULES = (Caller.headers, Caller.allow_nets, Caller.allow_hosts, Caller.schedule)


def _sender(secrets: list[str], headers: str, nets: str, hosts: str, plan: str | None) -> Sender:
    schedule = None if plan is None else tuple(json.loads(plan))
    return Sender(tuple(secrets), json.loads(headers), granted(nets, hosts), schedule)
