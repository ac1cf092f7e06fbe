"""A broker behind amqps://: user and password go to the host that the URL names, to no other."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from amqp.exceptions import AMQPError

from kernel.config.settings import Settings, load
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime.broker_probe.asking import ask
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import make_celery

HELLO = b"AMQP\x00\x00\x09\x01"


class Listener:
    """Speaks TLS with a certificate of some name, and keeps what clients say in it."""

    def __init__(self, ca: trustme.CA, name: str) -> None:
        self.heard: list[bytes] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(self._context)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError), plain, self._context.wrap_socket(plain, True) as spoken:
                self.heard.append(spoken.recv(100))


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process takes for one of the system's."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture(params=["127.0.0.1", "localhost"])
def url(request: pytest.FixtureRequest) -> str:
    return f"amqps://user:password@{request.param}"


@pytest.fixture
def listener(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[Listener]:
    made = Listener(ca, request.param)
    yield made
    made.close()


def connect(settings: Settings, times: int = 1) -> list[Exception]:
    """Connect as workers do, each time anew, and return the errors."""
    errors: list[Exception] = []
    app = make_celery(Kernel(settings, Handlers()), publishing=True)
    with app.connection_for_write() as connection:
        for _ in range(times):
            try:
                connection.connect()
            except (OSError, AMQPError) as error:
                errors.append(error)
    return errors


@pytest.mark.parametrize("listener", ["other.example"], indirect=True)
def test_server_with_the_certificate_of_another_host_hears_nothing(
    url: str, listener: Listener
) -> None:
    settings = load(broker_url=f"{url}:{listener.port}//")
    (error,) = connect(settings)
    assert isinstance(error, ssl.SSLCertVerificationError)
    with pytest.raises(ConfigurationError, match="a certificate that is not for"):
        list(ask(settings))
    assert listener.heard == []


@pytest.mark.parametrize("listener", ["localhost"], indirect=True)
def test_host_of_the_url_hears_us_each_time(listener: Listener) -> None:
    settings = load(broker_url=f"amqps://user:password@localhost:{listener.port}//")
    errors = connect(settings, times=2)
    assert not any(isinstance(one, ssl.SSLError) for one in errors)
    assert set(listener.heard) == {HELLO}


@pytest.mark.parametrize("listener", ["127.0.0.1"], indirect=True)
def test_authority_that_is_not_known_is_told_with_what_to_type(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    settings = load(broker_url=f"amqps://user:password@127.0.0.1:{listener.port}//")
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE=/path/to/ca.pem"):
        list(ask(settings))
    assert listener.heard == []
