"""What one process remembers of receivers: tokens, gates, and TLS identities that are loaded."""

import threading
from collections import OrderedDict

from kernel.callers.receivers import Receiver
from kernel.delivery.outgoing.admission import Admission, monotonic_of
from kernel.delivery.outgoing.tokens import Tokens
from kernel.errors import TransportError
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import NO_ROOM
from kernel.transport.tls_identity import TlsIdentity

# Identities that are kept loaded, the latest used.
IDENTITIES = 256


class UnfitCertificate(Exception):
    """A client certificate or an authority cannot be used: the message says why, in words."""


class Memory:
    """Of one process, for any number of threads; `memory_of` returns the one of a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.tokens = Tokens(monotonic_of(kernel))
        self.admission = Admission(kernel)
        self._lock = threading.Lock()
        self._identities: OrderedDict[tuple[str | None, ...], TlsIdentity] = OrderedDict()

    def identity(self, receiver: Receiver, *, shows_certificate: bool = True) -> TlsIdentity | None:
        """Return what a receiver is trusted by, and what is shown to it; None for neither.

        ``shows_certificate``: False for a place that the client certificate was not made for.
        Raises UnfitCertificate, and TransportError for a lack of ours.
        """
        pair = receiver.credentials.client_certificate if shows_certificate else None
        if pair is None and receiver.ca_pem is None:
            return None
        certificate = None if pair is None else pair.certificate
        key = None if pair is None else pair.key
        known = (certificate, None if key is None else key.get_secret_value(), receiver.ca_pem)
        with self._lock:
            if (found := self._identities.get(known)) is not None:
                self._identities.move_to_end(known)
                return found
        try:
            made = TlsIdentity(certificate, key, receiver.ca_pem)
        except ValueError as error:
            raise UnfitCertificate(str(error)) from None
        except OSError as error:
            raise TransportError(NO_ROOM, f"certificate not loaded: {error}") from None
        with self._lock:
            self._identities[known] = made
            if len(self._identities) > IDENTITIES:
                self._identities.popitem(last=False)
        return made


def memory_of(kernel: Kernel) -> Memory:
    """Return what this process remembers of receivers."""
    return kernel.one(Memory)
