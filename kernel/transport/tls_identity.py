"""Who this end is towards one receiver, and whom it trusts there: client certificate and authority.

The texts are PEM, and secret as the key is: they stay in memory. OpenSSL reads a pair from files
alone, so it is given files that no disk holds.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from pydantic import SecretStr

from kernel.transport.certificates import Certificate, certificates


@dataclass(frozen=True)
class TlsIdentity:
    """A client certificate with its key, an authority, or all three; checked when it is made.

    ``certificate``: the client's own first, then those of authorities between it and the root.
    ``key``: without a pass phrase. ``ca``: the authorities that the receiver's certificate is
    checked against, *instead of* the public ones; one that is no root will do.

    Raises ValueError, which says in words what is wrong and quotes nothing: no PEM, a key that
    belongs to another certificate or has a pass phrase, a certificate that has expired or is not
    valid yet. OSError when this process lacks a descriptor.

    To make one takes milliseconds: keep it for as long as its texts stay as they are.
    ``fingerprint`` tells identities apart; ``expires_at`` is the first moment at which one of the
    client's certificates is not valid any more, None without any.
    """

    certificate: str | None = field(default=None, repr=False)
    key: SecretStr | None = field(default=None, repr=False)
    ca: str | None = field(default=None, repr=False)
    fingerprint: str = field(init=False)
    expires_at: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client certificate needs its key, and a key its certificate")
        if self.certificate is None and self.ca is None:
            raise ValueError("name a client certificate with its key, an authority, or all three")
        chain = self._chain()
        if self.ca is not None:
            _check_valid("the authority", _read("the authority", self.ca)[:1])
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        ends = min((one.not_after for one in chain), default=None)
        object.__setattr__(self, "expires_at", ends)
        object.__setattr__(self, "fingerprint", self._digest())

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context present the certificate, and trust the authority; ValueError as above."""
        try:
            if self.ca is not None:
                context.load_verify_locations(cadata=_der(self.ca))
                # As an operator may name the authority that signs, and not the one above it.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            if self.certificate is not None and self.key is not None:
                _load_pair(context, self.certificate, self.key)
        except ssl.SSLError as error:
            raise ValueError(_in_words(error)) from None

    def _chain(self) -> list[Certificate]:
        if self.certificate is None:
            return []
        chain = _read("the client certificate", self.certificate)
        _check_valid("the client certificate", chain)
        return chain

    def _digest(self) -> str:
        key = None if self.key is None else self.key.get_secret_value()
        parts = (repr(part) for part in (self.certificate, key, self.ca))
        return sha256("\n".join(parts).encode()).hexdigest()


def _read(what: str, pem: str) -> list[Certificate]:
    try:
        return certificates(pem)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _check_valid(what: str, chain: list[Certificate]) -> None:
    now = datetime.now(UTC)
    for number, one in enumerate(chain, 1):
        name = what if number == 1 else f"{what}: number {number} of its chain"
        if one.not_after < now:
            raise ValueError(f"{name} expired on {one.not_after:%Y-%m-%d at %H:%M} UTC")
        if one.not_before > now:
            raise ValueError(f"{name} is not valid before {one.not_before:%Y-%m-%d at %H:%M} UTC")


def _der(pem: str) -> bytes:
    return b"".join(one.der for one in certificates(pem))


def _load_pair(context: ssl.SSLContext, certificate: str, key: SecretStr) -> None:
    with _file(certificate) as chain, _file(key.get_secret_value()) as secret:
        context.load_cert_chain(chain, secret, password=_refuse_pass_phrase)


def _refuse_pass_phrase() -> str:
    # Without this OpenSSL asks on the terminal, and waits.
    raise ValueError("the key has a pass phrase: give it without one (openssl pkey -in key.pem)")


def _in_words(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    if error.reason in ("KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return "the key is of another kind than the certificate's"
    return f"the certificate and key cannot be used ({error.reason or 'the key is no PEM'})"


@contextmanager
def _file(text: str) -> Iterator[str]:
    """Give a file of this text that is on no disk; it is gone when the block ends."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
