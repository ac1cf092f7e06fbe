"""The link that the person who ordered gets: signed, without a sign-in, for one order alone.

An order's id is no secret (tickets quote it), so it opens nothing by itself. The link is the id
with 160 bits of HMAC: always the same for an order, never to be guessed, and gone with its order.
It has one spelling, so a log or a proxy that knows a link by its text knows every request for it.
"""

import base64
import hashlib
import hmac
from uuid import UUID

from kernel.runtime.service_key import ServiceKeys

PURPOSE = "page of an order"
ID_BYTES, SEAL_BYTES = 16, 20
# Base64 of 36 bytes: nothing left over, so that no two tokens mean the same.
TOKEN = 48


class Links:
    """Makes and reads the links of one installation."""

    def __init__(self, keys: ServiceKeys) -> None:
        self._keys = keys

    def prepare(self) -> None:
        """Read what links are signed with. Raises the database's errors."""
        self._keys.for_purpose(PURPOSE)

    def token(self, order_id: str) -> str:
        """Return what stands in the link to this order, which need not exist."""
        name = UUID(order_id).bytes
        return base64.urlsafe_b64encode(name + self._seal(name)).decode()

    def order_id(self, token: str) -> str | None:
        """Return the order that ``token`` leads to; None unless `token` made it, to the letter."""
        try:
            given = token.encode("ascii")
            order_id = str(UUID(bytes=base64.urlsafe_b64decode(given)[:ID_BYTES]))
        except ValueError:  # not ASCII, not Base64, too short
            return None
        # Base64 has other spellings of the same bytes: compare text, not bytes.
        return order_id if hmac.compare_digest(given, self.token(order_id).encode()) else None

    def _seal(self, name: bytes) -> bytes:
        return hmac.digest(self._keys.for_purpose(PURPOSE), name, hashlib.sha256)[:SEAL_BYTES]
