"""On whose behalf a callback is sent: a caller's secrets, headers, callback rules and schedule."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from kernel.addresses import CallbackPolicy
from kernel.models import Caller, SigningSecret
from kernel.retry import RetryPolicy

# RFC 9110, section 5.6.2 (token) and 5.5 (field values: visible characters and inner spaces).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")
# What the transport and the signature say themselves.
RESERVED = re.compile(
    r"accept-encoding|connection|content-.*|expect|host|keep-alive|proxy-.*|te|trailer"
    r"|transfer-encoding|upgrade|webhook-.*"
)


@dataclass(frozen=True, slots=True)
class Sender:
    """What a caller's callbacks carry and may reach. Secrets and header values are never shown."""

    secrets: tuple[str, ...] = field(repr=False, default=())
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    allow_nets: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    schedule: tuple[float, ...] | None = None

    def callback_policy(self, base: CallbackPolicy) -> CallbackPolicy:
        """Return the global policy, opened by what was granted to this caller."""
        if not (self.allow_nets or self.allow_hosts):
            return base
        return base.merge(CallbackPolicy.from_strings(self.allow_nets, self.allow_hosts))

    def retry_policy(self, base: RetryPolicy) -> RetryPolicy:
        """Return the global policy, with this caller's own schedule if it has one."""
        return base if self.schedule is None else replace(base, schedule=self.schedule)


def senders_of(session: Session, caller_ids: Collection[int], now: datetime) -> dict[int, Sender]:
    """Return the senders of these callers, each with the secrets in force, the newest first."""
    secrets: dict[int, list[str]] = {caller_id: [] for caller_id in caller_ids}
    for caller_id, secret in session.execute(
        select(SigningSecret.caller_id, SigningSecret.secret)
        .where(
            SigningSecret.caller_id.in_(caller_ids),
            or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now),
        )
        .order_by(SigningSecret.id.desc())
    ):
        secrets[caller_id].append(secret)
    callers = session.execute(select(Caller.id, *_RULES).where(Caller.id.in_(caller_ids)))
    return {row.id: _sender(secrets[row.id], *row[1:]) for row in callers}


_RULES = (Caller.headers, Caller.allow_nets, Caller.allow_hosts, Caller.schedule)


def _sender(
    secrets: list[str], headers: str, nets: str, hosts: str, schedule: str | None
) -> Sender:
    return Sender(
        tuple(secrets),
        json.loads(headers),
        tuple(json.loads(nets)),
        tuple(json.loads(hosts)),
        None if schedule is None else tuple(json.loads(schedule)),
    )


def check_header(name: str, value: str) -> None:
    """Refuse a static header that could break or forge a request. Raises ValueError."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if RESERVED.fullmatch(name.lower()):
        raise ValueError(f"{name} is set by kernel itself")
    if not HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} must be visible ASCII on one line")
