"""The link that the person who ordered gets: signed, without a sign-in, for one order alone.

An order's id is no secret (tickets quote it), so it opens nothing by itself. The link is the id
with 160 bits of HMAC: always the same for an order, never to be guessed, and gone with its order.
"""

import base64
import binascii
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
        """Return the order that ``token`` leads to; None when it was not made by us."""
        try:
            found = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        name, seal = found[:ID_BYTES], found[ID_BYTES:]
        if len(token) != TOKEN or not hmac.compare_digest(seal, self._seal(name)):
            return None
        return str(UUID(bytes=name))

    def _seal(self, name: bytes) -> bytes:
        return hmac.digest(self._keys.for_purpose(PURPOSE), name, hashlib.sha256)[:SEAL_BYTES]
