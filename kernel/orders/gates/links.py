"""Links with which a person tells an order an event: signed, good once, and stored nowhere.

A link says what it tells. Its id is made of that, so each run that leads to the same wait makes the
same link, and the event's row, which has the id, makes it good once. It has one spelling, as that
of an order's page (`kernel.views.http.links`).
"""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kernel.errors import ConfigurationError
from kernel.formats.envelope import encode
from kernel.handlers import Run
from kernel.handlers.values import refused, to_json
from kernel.orders.gates.events import BY_LINK, Told
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys

PURPOSE = "links that tell events"
# Where the pages of links begin; see `kernel.views.orders.links`.
PREFIX = "/e"
SEAL_BYTES = 20
# Of the data, as JSON: the address has to pass through mail programs.
MAX_LINK_DATA = 1024


class Link(NamedTuple):
    """What a link tells, until when, and whether the person has to sign in.

    ``wait``: how many events had ended a wait of the order when it was made.
    """

    order_id: str
    name: str
    data: dict[str, Any]
    wait: int
    sign_in: bool
    until: datetime | None = None

    @property
    def told(self) -> Told:
        """The event that it tells, with the key that makes it good once."""
        parts = encode([self.order_id, self.name, self.data, self.wait, self.sign_in])
        key = BY_LINK + hashlib.sha256(parts).hexdigest()[:40]
        return Told(self.name, encode(self.data).decode(), key)


def make_link(
    kernel: Kernel,
    run: Run,
    name: str,
    data: dict[str, Any] | None,
    until: datetime | None,
    *,
    sign_in: bool,
) -> str:
    """Return the address of a link; see `Run.link`."""
    settings = kernel.settings
    if not settings.public_url:
        raise ConfigurationError("run.link needs KERNEL_PUBLIC_URL: links lead there")
    if sign_in and settings.dashboard == "off":
        raise ConfigurationError("run.link(sign_in=True) needs KERNEL_DASHBOARD to sign in at")
    if data is not None and not isinstance(data, dict):
        raise TypeError(f"link: data is a dict, not {type(data).__name__}")
    if until is not None and not isinstance(until, datetime):
        raise TypeError(f"link: until is a datetime, not {type(until).__name__}")
    if until is not None and until.utcoffset() is None:
        raise ValueError("link: until has no time zone; write run.now + timedelta(...)")
    said = to_json(data or {}, "data", refused)
    if len(said.encode()) > MAX_LINK_DATA:
        raise ValueError(f"link: data is at most {MAX_LINK_DATA} bytes of JSON")
    link = Link(run.order_id, name, json.loads(said), run.waits, sign_in, until)
    return settings.public_url.rstrip("/") + f"{PREFIX}/{EventLinks(kernel).token(link)}"


class EventLinks:
    """Makes and reads the links of one installation."""

    def __init__(self, kernel: Kernel) -> None:
        self._keys = kernel.one(ServiceKeys)

    def token(self, link: Link) -> str:
        """Return what stands in the address. Raises the database's errors, and SecretsLocked."""
        until = None if link.until is None else int(link.until.timestamp())
        said = encode([*link[:-1], until])
        return base64.urlsafe_b64encode(self._seal(said) + said).decode().rstrip("=")

    def link(self, token: str) -> Link | None:
        """Return what ``token`` tells; None unless `token` made it, to the letter."""
        try:
            given = token.encode("ascii")
            found = base64.urlsafe_b64decode(given + b"=" * (-len(given) % 4))
        except ValueError:  # not ASCII, not Base64
            return None
        seal, said = found[:SEAL_BYTES], found[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(said)):
            return None
        # Base64 has other spellings of the same bytes.
        if base64.urlsafe_b64encode(found).rstrip(b"=") != given:
            return None
        order_id, name, data, wait, sign_in, until = json.loads(said)
        late = None if until is None else datetime.fromtimestamp(until, UTC)
        return Link(order_id, name, data, wait, sign_in, late)

    def form_token(self, token: str, now: datetime) -> str:
        """Return what the form of a link's page carries: a POST without the page tells nothing."""
        return f"{int(now.timestamp())}.{self._form_seal(token, int(now.timestamp()))}"

    def is_form_token(self, given: str, token: str, now: datetime, lasts: float) -> bool:
        """Tell whether a page of this link made this form token at most ``lasts`` seconds ago."""
        made, _, seal = given.partition(".")
        if not (made.isascii() and made.isdigit() and len(made) < 12):
            return False
        is_ours = hmac.compare_digest(
            seal.encode("utf-8", "replace"), self._form_seal(token, int(made)).encode()
        )
        return is_ours and 0 <= now.timestamp() + 1 - int(made) <= lasts

    def _seal(self, said: bytes) -> bytes:
        return hmac.digest(self._keys.for_purpose(PURPOSE), said, hashlib.sha256)[:SEAL_BYTES]

    def _form_seal(self, token: str, made: int) -> str:
        key = self._keys.for_purpose(f"form of {PURPOSE}")
        return hmac.digest(key, f"{made}.{token}".encode("utf-8", "replace"), hashlib.sha256).hex()
