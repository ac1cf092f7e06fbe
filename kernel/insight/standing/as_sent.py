"""What an attempt has sent, made again from the outbox row, without a secret in it.

Rendering is pure: the same outcome and the same version of the shape make the same bytes at every
attempt. What is of the attempt itself is its timestamp, which is known, and its signature, its
login and its place in a trace, which are not kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import Receiver
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import Order
from kernel.delivery.outgoing.login import SN_HMAC
from kernel.delivery.outgoing.request import Refused, Unusable, Way, way_of
from kernel.formats.callback_headers import HeaderFacts, shown_headers
from kernel.formats.shapes.render import Facts, Rendered, below, facts, render
from kernel.formats.shapes.shape import DEFAULT
from kernel.formats.shapes.template import TemplateFailed, paths_of
from kernel.formats.signing import headers as signed_headers

# What stands in place of a secret, and of the value that a lookup has found.
HIDDEN, FOUND = "•••", "FOUND"
# Kinds of credentials that are sent in the header Authorization.
_LOGINS = frozenset({"basic", "bearer", "oauth2"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its secrets. ``headers``: None for a value that is one.

    ``notes``: what is to be known of it, by the ends of the keys of texts. ``refused``: why nothing
    can be made of it, in words; then the rest is empty.
    """

    method: str = ""
    url: str = ""
    headers: Sequence[tuple[str, str | None]] = ()
    body: bytes = field(default=b"", repr=False)
    notes: Sequence[str] = ()
    refused: str = ""

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 in it is shown as such."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Replica:
    """Makes the requests of one delivery again. ``acts``: what people did to it, the first first.

    ``profile``: of its caller, as it is now; the receiver's own URL and the names of its headers
    were never stored with an attempt.
    """

    order: Order
    delivery: Delivery
    profile: CallbackProfile
    acts: Sequence[Mapping[str, Any]] = ()
    # What was rendered already, by version: bodies may be large.
    _made: dict[int | None, tuple[Way, Rendered, list[str]]] = field(default_factory=dict)

    def of(self, attempt: Attempt | None = None) -> Request:
        """Return what an attempt has sent; without one, what the next attempt sends."""
        notes: list[str] = []
        until = self.delivery.shapes_until
        if attempt is not None:
            until = self._shapes_until(attempt, notes)
        try:
            way, rendered, more = self._render(until)
            url = _url(way, rendered)
            if attempt is None and not way.shape.secret_url:
                way.check(url)
        except (Refused, Unusable, TemplateFailed) as error:
            return Request(refused=str(error))
        return Request(
            rendered.method,
            url,
            self._headers(way.receiver, rendered, None if attempt is None else attempt.started_at),
            rendered.body,
            [*notes, *more],
        )

    def _render(self, until: int | None) -> tuple[Way, Rendered, list[str]]:
        if until not in self._made:
            row, notes = self.delivery, list[str]()
            way = way_of(self.profile, row.url, row.origin, until)
            self._made[until] = (way, _rendered(way, row, notes), notes)
        return self._made[until]

    def _shapes_until(self, attempt: Attempt, notes: list[str]) -> int | None:
        """Return the version that an attempt was made with: a redelivery may have changed it."""
        for act in self.acts:
            is_later = act["at"] > attempt.started_at
            after, before = act["after"] or {}, act["before"] or {}
            if is_later and after.get("with_current_shape") and "shapes_until" in before:
                found: int | None = before["shapes_until"]
                return found
        if attempt.started_at < self.delivery.created_at and len(self.profile.versions) > 1:
            notes.append("earlier")
        return self.delivery.shapes_until

    def _headers(
        self, receiver: Receiver | None, rendered: Rendered, at: datetime | None
    ) -> list[tuple[str, str | None]]:
        stamp = 0 if at is None else int(at.timestamp())
        signed = signed_headers((), self.delivery.id, stamp, b"")
        known = dict(shown_headers(HeaderFacts(self.order.request_id, None, signed), ()))
        if at is None:
            known["webhook-timestamp"] = None
        if not self.profile.signing:
            known.pop("webhook-signature", None)
        known |= {name.lower(): value for name, value in rendered.headers.items()}
        known |= dict.fromkeys(_secret_headers(receiver))
        return list(known.items())


def _rendered(way: Way, row: Delivery, notes: list[str]) -> Rendered:
    shape = way.shape
    plain = shape == DEFAULT
    known = Facts({}, row.body) if plain else facts(row.body, row.id, way.variables)
    named = [path[1] for path in (*paths_of(shape.body), *paths_of(shape.form)) if _is_secret(path)]
    if named:
        notes.append("secrets")
    secrets = {name: SecretStr(HIDDEN) for name in (*named, "url")}
    if shape.lookup is None:
        return render(shape, known, secrets)
    notes.append("lookup")
    return render(shape, known, secrets, FOUND)


def _is_secret(path: Sequence[str]) -> bool:
    return len(path) == 2 and path[0] == "secret"


def _url(way: Way, rendered: Rendered) -> str:
    if way.shape.secret_url:
        origin = way.base if way.receiver is None else way.receiver.origin
        return f"{origin}/{HIDDEN}"
    return below(way.base if rendered.url else way.url, rendered.url)


def _secret_headers(receiver: Receiver | None) -> list[str]:
    """Return the names of the headers that log in, in lower case."""
    if receiver is None:
        return []
    kinds = receiver.describe_credentials()
    found = [str(name).lower() for name in kinds.get("headers", [])]
    if _LOGINS & kinds.keys():
        found.append("authorization")
    if "sn_hmac" in kinds:
        found.append(SN_HMAC)
    return found
