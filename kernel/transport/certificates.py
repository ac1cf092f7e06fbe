"""Until when the certificates of a PEM text are valid: pure, and no more of X.509 than that.

OpenSSL judges everything else when the certificates are loaded; Python's ``ssl`` shows the times of
a certificate that its own end presents to no program.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
# Tags of ASN.1 (X.690), and how many parts stand before the validity, the version aside (RFC 5280
# §4.1).
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEFORE_VALIDITY = 3  # serial number, signature algorithm, issuer
# Two digits of a year are of 1950 to 2049 (RFC 5280 §4.1.2.5.1).
_PIVOT = 50


@dataclass(frozen=True)
class Certificate:
    """A certificate as DER, and the time within which it is valid (aware, in UTC)."""

    der: bytes
    not_before: datetime
    not_after: datetime


def certificates(pem: str) -> list[Certificate]:
    """Return the certificates of a PEM text, in its order; ValueError when there is none.

    What stands between them, comments and keys, is passed over.
    """
    found = [_certificate(body) for body in _PEM.findall(pem)]
    if not found:
        raise ValueError("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    return found


def _certificate(body: str) -> Certificate:
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
        return Certificate(der, *_validity(der))
    except (ValueError, IndexError, binascii.Error):
        raise ValueError("it holds a certificate that cannot be read") from None


def _validity(der: bytes) -> tuple[datetime, datetime]:
    _, whole = _elements(der)[0]
    _, signed = _elements(whole)[0]
    parts = _elements(signed)
    has_version = parts[0][0] == _VERSION
    tag, validity = parts[_BEFORE_VALIDITY + has_version]
    if tag != _SEQUENCE:
        raise ValueError("no validity where it should be")
    not_before, not_after = (_time(tag, text) for tag, text in _elements(validity))
    return not_before, not_after


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and content of each element of DER; ValueError or IndexError when cut off."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("cut off")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _time(tag: int, text: bytes) -> datetime:
    written = text.decode("ascii")
    if tag == _UTC_TIME:
        written = ("19" if int(written[:2]) >= _PIVOT else "20") + written
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
