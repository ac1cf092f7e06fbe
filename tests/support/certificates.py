"""Client certificates that tests present, and servers that ask for one."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import trustme
from pydantic import SecretStr

from kernel.transport.tls_identity import TlsIdentity
from tests.support.receiver import Exchange, authority

Pair = tuple[str, SecretStr]
DAY = timedelta(days=1)


@cache
def clients() -> trustme.CA:
    """Return the authority that signs the certificates of clients, one per test run."""
    return trustme.CA()


def pair(name: str, begins: timedelta = -DAY, ends: timedelta = DAY) -> Pair:
    """Return a certificate and its key, for a client of this name, valid from and to then."""
    now = datetime.now(UTC)
    made = clients().issue_cert(
        f"{name}.example", common_name=name, not_before=now + begins, not_after=now + ends
    )
    chain = "".join(blob.bytes().decode() for blob in made.cert_chain_pems)
    return chain, SecretStr(made.private_key_pem.bytes().decode())


@cache
def identity(name: str) -> TlsIdentity:
    """Return the identity of the client of this name, one per test run."""
    return TlsIdentity(*pair(name))


def pem(ca: trustme.CA) -> str:
    """Return an authority's certificate."""
    return ca.cert_pem.bytes().decode()


def asking(
    mode: ssl.VerifyMode = ssl.CERT_REQUIRED, signer: trustme.CA | None = None
) -> ssl.SSLContext:
    """Return settings of a server hooks.example that asks for a client's certificate.

    ``signer``: of the server's own certificate, `authority()` by default.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (signer or authority()).issue_cert("hooks.example").configure_cert(context)
    clients().configure_trust(context)
    context.verify_mode = mode
    return context


def name_the_client(exchange: Exchange) -> None:
    """Answer each request with the name in the client's certificate, for as long as asked."""
    assert isinstance(exchange.sock, ssl.SSLSocket)
    shown: Any = (exchange.sock.getpeercert() or {}).get("subject", ())
    name = str(dict(one for (one,) in shown).get("commonName", "")).encode()
    while True:
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(name) + name)
        if not exchange.sock.recv(65536):
            return
