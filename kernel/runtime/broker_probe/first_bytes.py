"""The first bytes of a server's answer tell its kind, and whether it speaks TLS.

What they tell is raised as `Refusal`, in words; an OSError says that no server answers.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kernel.config.brokers.urls import Address, shown

ANSWER_SECONDS = 1.0
PING = b"PING\r\n\r\n"  # with the empty line for which a web server waits
SPOKEN = (b"+", b"-")  # a simple string, or an error, such as a required login
# A record of TLS that holds an alert: some servers answer so to what is not TLS.
ALERT = b"\x15\x03"
# OpenSSL's numbers of what is wrong with a certificate.
EXPIRED, OTHER_HOST, OTHER_IP = 10, 62, 64


class Refusal(Exception):
    """What is wrong with a server, in words that follow its place, and the line to type."""


def expect_redis(address: Address, tls: ssl.SSLContext | None) -> None:
    """Ask for a Redis, with TLS or without. Raises Refusal unless one answers, OSError for none."""
    if tls is None:
        _plain_redis(address)
        return
    try:
        with _encrypted(address, tls) as connection:
            answer = _answer(connection, PING)
    except ssl.SSLCertVerificationError as error:
        raise Refusal(_why_not_trusted(address, error, "KERNEL_BROKER_CA_FILE")) from None
    except OSError as error:
        if _answers_plainly(address):
            raise Refusal(
                "speaks no TLS there: write redis:// (for Sentinels sentinel://), or have the "
                "server listen with `tls-port`"
            ) from None
        if isinstance(heard := _heard(address, tls, error), ssl.SSLError):
            raise Refusal(_why_no_tls(heard)) from None
        raise
    _expect(answer, SPOKEN, "Redis")


def expect_rabbitmq(address: Address, tls: ssl.SSLContext | None) -> None:
    """Ask for a method frame of channel 0. Raises as `expect_redis`."""
    hello = b"AMQP\x00\x00\x09\x01"
    try:
        opened = _connected(address) if tls is None else _encrypted(address, tls)
        with opened as connection:
            answer = _answer(connection, hello)
    except ssl.SSLCertVerificationError as error:
        raise Refusal(_why_not_trusted(address, error, "SSL_CERT_FILE")) from None
    except ssl.SSLError as error:
        raise Refusal(
            f"does not speak TLS with us ({error.reason or error}); correct the URL"
        ) from None
    _expect(answer, (b"\x01\x00\x00",), "RabbitMQ")


def _plain_redis(address: Address) -> None:
    answer, gone = b"", None
    with _connected(address) as connection:
        try:
            answer = _answer(connection, PING)
        except ConnectionError as error:
            gone = error
    if (not answer or answer.startswith(ALERT)) and _speaks_tls(address):
        raise Refusal(
            "speaks TLS there: write rediss:// (for Sentinels sentinels://), and name the "
            "authority of its certificate in KERNEL_BROKER_CA_FILE if it is no public one"
        )
    if gone is not None:
        raise gone
    _expect(answer, SPOKEN, "Redis")


def _expect(answer: bytes, good: tuple[bytes, ...], kind: str) -> None:
    if not answer:
        raise ConnectionError("closed without an answer")
    if not answer.startswith(good):
        raise Refusal(f"answers, but is no {kind}; correct the URL")


def _answer(connection: socket.socket, hello: bytes) -> bytes:
    """Send ``hello`` and return the answer's first bytes.

    A server that has not answered after a second gets an empty line, for which a web server
    waits.
    """
    connection.sendall(hello)
    try:
        return connection.recv(64)
    except TimeoutError:
        connection.sendall(b"\r\n\r\n")
        return connection.recv(64)


def _connected(address: Address) -> socket.socket:
    return socket.create_connection(address, ANSWER_SECONDS)


@contextmanager
def _encrypted(address: Address, tls: ssl.SSLContext) -> Iterator[socket.socket]:
    with _connected(address) as plain, tls.wrap_socket(plain, server_hostname=address[0]) as made:
        yield made


def _heard(address: Address, tls: ssl.SSLContext, error: OSError) -> OSError:
    """Return what a server says that ends the connection before it is asked anything.

    A write that comes too late gets another error than the alert that tells why.
    """
    if isinstance(error, TimeoutError | ConnectionRefusedError):
        return error
    try:
        with _encrypted(address, tls) as connection:
            connection.recv(64)
    except ssl.SSLError as alert:
        return alert
    except OSError:
        return error
    return error


def _answers_plainly(address: Address) -> bool:
    with suppress(OSError), _connected(address) as connection:
        return _answer(connection, PING).startswith(SPOKEN)
    return False


def _speaks_tls(address: Address) -> bool:
    """Tell whether TLS is spoken there, with a certificate of any authority."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        with _encrypted(address, trusting):
            return True
    except ssl.SSLError as error:  # it wants our certificate, and says so in TLS
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _why_not_trusted(address: Address, error: ssl.SSLCertVerificationError, named: str) -> str:
    """Say what is wrong with a certificate; the variable ``named`` names authorities."""
    if error.verify_code in (OTHER_HOST, OTHER_IP):
        return (
            f"shows a certificate that is not for {address[0]} ({error.verify_message}): write the "
            "name that the certificate has, or give the server one with this name"
        )
    if error.verify_code == EXPIRED:
        return f"shows a certificate that has expired ({error.verify_message}): renew it there"
    return (
        f"shows a certificate of an authority that is not known here ({error.verify_message}): "
        f"name the file of the authority, {named}=/path/to/ca.pem; to see what the "
        f"server shows: openssl s_client -showcerts -connect {shown(address)}"
    )


def _why_no_tls(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return (
            f"asks for a client's certificate ({reason}): set KERNEL_BROKER_CERT_FILE and "
            "KERNEL_BROKER_KEY_FILE, or have the server ask for none with `tls-auth-clients no`"
        )
    if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason:
        return (
            f"does not accept our certificate ({reason}): its `tls-ca-cert-file` has to name the "
            "authority that signed KERNEL_BROKER_CERT_FILE"
        )
    return f"does not speak TLS with us ({reason}); correct the URL"
