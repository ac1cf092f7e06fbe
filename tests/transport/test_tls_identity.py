"""Client certificates and private authorities: checked when made, shown to their receiver alone."""

import errno
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Response, Transport
from kernel.transport.connecting.tls import TlsContexts
from kernel.transport.tls_identity import TlsIdentity
from tests.support.certificates import DAY, Pair, asking, identity, name_the_client, pair, pem
from tests.support.receiver import Receiver, authority

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
NAMES = {"hooks.example.": ["127.0.0.1"]}


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = Transport(5, str(tmp_path / "ca.pem"), resolver=NAMES.__getitem__)
    yield made
    made.close()


def send(transport: Transport, url: str, shown: TlsIdentity | None = None) -> Response:
    return transport.send(Request(url, {}, b"{}", identity=shown), LOOPBACK)


def reason(transport: Transport, url: str, shown: TlsIdentity | None = None) -> str:
    with pytest.raises(TransportError) as caught:
        send(transport, url, shown)
    return caught.value.reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_receiver_sees_the_certificate_when_it_asks_for_one(
    transport: Transport, version: ssl.TLSVersion
) -> None:
    context = asking()
    context.minimum_version = context.maximum_version = version
    with Receiver(tls=("hooks.example",), context=context) as receiver:
        receiver.default = name_the_client
        assert send(transport, receiver.url, identity("alpha")).body == b"alpha"


def test_reason_is_tls_when_the_receiver_asks_and_there_is_no_certificate(
    transport: Transport,
) -> None:
    context = asking()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Receiver(tls=("hooks.example",), context=context) as receiver:
        assert reason(transport, receiver.url) == "tls"
    assert receiver.requests == []


def test_reason_is_tls_when_the_receiver_says_no_after_the_handshake(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=say_no, args=(server,), daemon=True)
        thread.start()
        url = f"https://hooks.example:{server.getsockname()[1]}/T0/s3cret"
        with pytest.raises(TransportError) as caught:
            send(transport, url)
        thread.join(10)
    assert (caught.value.reason, "CERTIFICATE_REQUIRED" in caught.value.detail) == ("tls", True)
    assert "s3cret" not in caught.value.detail


def say_no(server: socket.socket) -> None:
    """Refuse a client's lack of a certificate, and take its request from the line all the same."""
    plain, _ = server.accept()
    raw = plain.dup()
    talk = asking().wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    with talk, raw:
        with pytest.raises(ssl.SSLError):
            talk.do_handshake()
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass


def test_kept_connection_of_one_identity_is_never_anothers(transport: Transport) -> None:
    context = asking(ssl.CERT_OPTIONAL)
    shown = {b"alpha": identity("alpha"), b"beta": identity("beta"), b"": None}
    with Receiver(tls=("hooks.example",), context=context) as receiver:
        receiver.default = name_the_client
        said = [send(transport, receiver.url, one).body for one in [*shown.values()] * 3]
        assert said == [*shown] * 3
        assert (receiver.connections, transport.kept) == (3, 3)


def test_kept_connection_is_used_again_when_the_identity_is_made_again(
    transport: Transport,
) -> None:
    with Receiver(tls=("hooks.example",), context=asking()) as receiver:
        receiver.default = name_the_client
        texts = pair("alpha")
        for _ in range(3):
            send(transport, receiver.url, TlsIdentity(*texts))
        assert receiver.connections == 1


def test_identity_is_no_matter_over_plain_http(transport: Transport) -> None:
    with Receiver() as receiver:
        for shown in (identity("alpha"), identity("beta"), None):
            assert send(transport, receiver.url, shown).status == 200
        assert receiver.connections == 1


def test_private_authority_is_trusted_for_its_receiver_alone(transport: Transport) -> None:
    private = trustme.CA()
    trusting = TlsIdentity(ca=pem(private))
    context = asking(ssl.CERT_NONE, private)
    with Receiver(tls=("hooks.example",), context=context) as receiver:
        assert reason(transport, receiver.url) == "tls"
        assert send(transport, receiver.url, trusting).status == 200
        assert reason(transport, receiver.url) == "tls"


def test_private_authority_is_trusted_instead_of_the_others(transport: Transport) -> None:
    with Receiver(tls=("hooks.example",)) as receiver:
        assert send(transport, receiver.url).status == 200
        assert reason(transport, receiver.url, TlsIdentity(ca=pem(trustme.CA()))) == "tls"


def test_private_authority_need_not_be_a_root(transport: Transport) -> None:
    between = trustme.CA().create_child_ca()
    context = asking(ssl.CERT_NONE, between)
    with Receiver(tls=("hooks.example",), context=context) as receiver:
        assert send(transport, receiver.url, TlsIdentity(ca=pem(between))).status == 200


def test_name_is_compared_when_an_authority_is_trusted_by_name(transport: Transport) -> None:
    with Receiver(tls=("other.example",)) as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        assert reason(transport, url, TlsIdentity(ca=pem(authority()))) == "tls"


ALPHA, BETA = pair("alpha"), pair("beta")


def encrypted(key: SecretStr) -> SecretStr:
    loaded = load_pem_private_key(key.get_secret_value().encode(), None)
    made = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    return SecretStr(made.decode())


def rsa_key() -> SecretStr:
    key = rsa.generate_private_key(65537, 2048)
    made = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SecretStr(made.decode())


REFUSED: dict[str, tuple[tuple[str | None, SecretStr | None], str | None, str]] = {
    "no key": ((ALPHA[0], None), None, "needs its key"),
    "no certificate": ((None, ALPHA[1]), None, "needs its key"),
    "nothing": ((None, None), None, "name a client certificate"),
    "another's key": ((ALPHA[0], BETA[1]), None, "the key belongs to another certificate"),
    "key of another kind": ((ALPHA[0], rsa_key()), None, "of another kind"),
    "key with a pass phrase": ((ALPHA[0], encrypted(ALPHA[1])), None, "has a pass phrase"),
    "key that is no PEM": ((ALPHA[0], SecretStr("s3cret")), None, "the key is no PEM"),
    "empty key": ((ALPHA[0], SecretStr("")), None, "the key is no PEM"),
    "certificate as key": ((ALPHA[0], SecretStr(ALPHA[0])), None, "the key is no PEM"),
    "no PEM": (("s3cret", ALPHA[1]), None, "client certificate: it holds no certificate"),
    "cut off": ((ALPHA[0][:300], ALPHA[1]), None, "holds no certificate"),
    "not X.509": ((ALPHA[0].replace("MII", "MIJ"), ALPHA[1]), None, "cannot be read"),
    "expired": (pair("old", -2 * DAY, -DAY), None, "expired on 2"),
    "not valid yet": (pair("new", DAY, 2 * DAY), None, "is not valid before 2"),
    "no authority in PEM": (ALPHA, "s3cret", "the authority: it holds no certificate"),
    "expired authority": (ALPHA, pair("old", -2 * DAY, -DAY)[0], "the authority expired on 2"),
}


@pytest.mark.parametrize(("texts", "ca", "words"), REFUSED.values(), ids=REFUSED)
def test_identity_is_refused_in_words_when_it_cannot_work(
    texts: tuple[str | None, SecretStr | None], ca: str | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        TlsIdentity(*texts, ca)
    assert "s3cret" not in str(caught.value)


def test_identity_says_when_it_ends_and_shows_no_key() -> None:
    texts: Pair = pair("alpha", ends=3 * DAY)
    made = TlsIdentity(*texts)
    assert made.expires_at is not None
    assert "PRIVATE" not in repr(made)
    assert texts[1].get_secret_value().splitlines()[1] not in repr(made)
    assert TlsIdentity(ca=pem(authority())).expires_at is None


def test_identities_are_told_apart_by_each_of_their_parts() -> None:
    one, other = pem(authority()), pem(trustme.CA())
    made = [TlsIdentity(*ALPHA), TlsIdentity(*BETA), TlsIdentity(*ALPHA, one), TlsIdentity(ca=one)]
    made.append(TlsIdentity(*ALPHA, other))
    assert len({each.fingerprint for each in made}) == 5
    assert TlsIdentity(*ALPHA).fingerprint == made[0].fingerprint


def test_contexts_of_few_identities_are_kept() -> None:
    contexts = TlsContexts(None, size=2)
    first = contexts.of(identity("alpha"))
    contexts.of(identity("beta"))
    assert contexts.of(identity("alpha")) is first
    contexts.of(identity("gamma"))
    assert contexts.of(identity("alpha")) is first
    beta = contexts.of(identity("beta"))  # gone in the meantime, and gamma now is
    assert contexts.of(identity("beta")) is beta


def test_identity_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        TlsIdentity(*ALPHA)
        with pytest.raises(ValueError, match="another certificate"):
            TlsIdentity(ALPHA[0], BETA[1])
    # What other tests of this process have left open closes and opens meanwhile.
    assert len(os.listdir("/proc/self/fd")) < before + 20


def test_reason_is_no_room_when_there_is_no_descriptor_for_the_identity(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    shown = TlsIdentity(*ALPHA)
    monkeypatch.setattr(os, "memfd_create", none_left)
    assert reason(transport, "https://hooks.example/", shown) == "no_room"
