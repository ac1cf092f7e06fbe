"""Receivers as operators look at them: what is sent to each, since when, and how it went.

No value of a credential leaves this module.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import Receiver, find, list_receivers, receivers_of
from kernel.db.statements.keyset import Budget
from kernel.db.tables.receivers import SHAPES
from kernel.errors import SecretsLocked
from kernel.filters.callbacks import CallbackFilter
from kernel.formats.shapes.shape import SECRET_URL
from kernel.insight.search.deliveries import BUDGET, page
from kernel.transport.certificates import certificates

# A client certificate that ends within this time is warned of.
SOON = timedelta(days=30)
# The most versions and callbacks that are shown of one receiver, and callbacks that are looked at.
VERSIONS, SHOWN, LOOKED_AT = 20, 20, 100


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a receiver's shape, which was in force from ``since`` to the next one.

    ``shape``: its JSON; empty for the default shape, the envelope by POST. ``url``: the receiver's
    at that time; of a shape whose URL is a secret the origin alone.
    """

    id: int
    since: datetime
    url: str
    shape: str


@dataclass(frozen=True, slots=True)
class ReceiverDetails:
    """A receiver as it is now. ``version``: None for a draft, which has none yet."""

    caller: str
    receiver: Receiver
    version: Version | None
    # The first moment at which its client certificate is not valid any more.
    expires_at: datetime | None

    @property
    def url(self) -> str:
        """Its URL prefix; where the URL is a secret, the origin alone."""
        return self.receiver.url if self.version is None else self.version.url

    @property
    def credentials(self) -> dict[str, Any]:
        """Kinds of credentials, and the names of headers and secrets."""
        return self.receiver.describe_credentials()

    def expires_soon(self, now: datetime) -> bool:
        """Tell whether its client certificate has ended, or will within `SOON`."""
        return self.expires_at is not None and self.expires_at < now + SOON


def all_receivers(session: Session) -> list[ReceiverDetails]:
    """Return every receiver, drafts too, by the names of caller and receiver."""
    known = list_receivers(session)
    rows = _newest(session, {one.caller_id for _, one in known})
    found = []
    for caller, one in known:
        row = rows.get(one.id)
        version = None if row is None else _version(row, one, _is_secret_url(row.shape))
        found.append(ReceiverDetails(caller, one, version, _expiry(one)))
    return found


def one_receiver(
    session: Session, caller: str, name: str, budget: Budget = BUDGET
) -> tuple[ReceiverDetails, list[Version], list[tuple[Any, Any]]]:
    """Return a receiver, its newest versions, and its newest callbacks with the latest attempts.

    Newest first; the callbacks are those among the caller's latest to this origin. Raises NotFound.
    """
    found = find(session, caller, name)
    asked = select(SHAPES).where(
        SHAPES.c.caller_id == found.caller_id, SHAPES.c.receiver_id == found.id
    )
    rows = session.execute(asked.order_by(SHAPES.c.id.desc()).limit(VERSIONS)).all()
    is_secret = any(_is_secret_url(row.shape) for row in rows)
    versions = [_version(row, found, is_secret) for row in rows]
    details = ReceiverDetails(caller, found, next(iter(versions), None), _expiry(found))
    return details, versions, _last_attempts(session, found, budget)


def _newest(session: Session, caller_ids: Collection[int]) -> dict[int, Any]:
    """Return the newest version of each receiver of these callers, by the receiver's id."""
    ids = (
        select(func.max(SHAPES.c.id).label("id"))
        .where(SHAPES.c.caller_id.in_(caller_ids))
        .group_by(SHAPES.c.receiver_id)
        .subquery()
    )
    rows = session.execute(select(SHAPES).join_from(ids, SHAPES, ids.c.id == SHAPES.c.id))
    return {row.receiver_id: row for row in rows}


def _last_attempts(session: Session, of: Receiver, budget: Budget) -> list[tuple[Any, Any]]:
    if of.is_draft:
        return []
    others = receivers_of(session.connection(), [of.caller_id])[of.caller_id]
    profile, host = CallbackProfile(receivers=others), of.origin.partition("://")[2]
    wanted = CallbackFilter(caller_id=of.caller_id, host=host)
    found = page(session, wanted, None, LOOKED_AT, budget)
    taken = [(row, profile.receiver_for(row.url)) for row in found.rows if row.id in found.latest]
    rows = [row for row, receiver in taken if receiver is not None and receiver.id == of.id]
    return [(row, found.latest[row.id]) for row in rows[:SHOWN]]


def _version(row: Any, of: Receiver, is_secret: bool) -> Version:
    shape = "" if row.shape in (None, "{}") else row.shape
    return Version(row.id, row.created_at, of.origin if is_secret else row.url, shape)


def _is_secret_url(shape: str | None) -> bool:
    """Tell whether the URL that callbacks of this shape go to is a secret of the receiver's."""
    return shape is not None and json.loads(shape).get("url") == SECRET_URL


def _expiry(receiver: Receiver) -> datetime | None:
    try:
        pair = receiver.credentials.client_certificate
        if pair is None:
            return None
        return min(one.not_after for one in certificates(pair.certificate))
    except (SecretsLocked, ValueError):  # no key; an older release's may be of any kind
        return None
