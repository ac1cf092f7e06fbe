"""KERNEL_DATABASE_CA_FILE: every connection is encrypted, and the server is who it says it is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from kernel.config.settings import load
from kernel.db.dialects import link, url_of
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import client
from tests.support.factories import order
from tests.support.people.terminal import Terminal
from tests.support.postgresql import PostgreSQL, program
from tests.support.servers import MariaDB, require
from tests.support.tls_databases import ELSEWHERE, HERE, TlsMariaDB, TlsPostgreSQL

MakeKernel = Callable[..., Kernel]
Made = MariaDB | PostgreSQL
# What a server says of the connection on which it is asked.
SPOKEN = {
    "mysql": "SELECT variable_value FROM information_schema.session_status"
    " WHERE variable_name = 'Ssl_version'",
    "postgresql": "SELECT coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}
each_kind = pytest.mark.parametrize("kind", ["mariadb", "postgresql"])


class Servers:
    """Servers of each kind, started when they are first asked for."""

    def __init__(self, started: ExitStack) -> None:
        self.ca = trustme.CA()
        self._started = started
        self._made: dict[tuple[str, str], Made] = {}

    def database(self, kind: str, name: str) -> str:
        """Return the URL of a new database on a server with a certificate of this name."""
        if (kind, name) not in self._made:
            require("mariadbd", "mysqld") if kind == "mariadb" else program("postgres")
            made = {"mariadb": TlsMariaDB, "postgresql": TlsPostgreSQL}[kind](self.ca, name)
            self._made[kind, name] = self._started.enter_context(closing(made))
            made.start()
        return self._made[kind, name].create_database()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as started:
        yield Servers(started)


@pytest.fixture
def ca_file(servers: Servers, tmp_path: Path) -> Path:
    """The file of the authority that signs the servers' certificates."""
    return pem(servers.ca, tmp_path / "ca.pem")


def pem(ca: trustme.CA, file: Path) -> Path:
    ca.cert_pem.write_to_path(file)
    return file


def refused(url: str, ca_file: Path, make_kernel: MakeKernel) -> str:
    with pytest.raises(OperationalError) as caught:
        make_kernel(url, database_ca_file=ca_file)
    return str(caught.value)


@each_kind
def test_order_goes_its_way_over_tls_when_an_authority_is_named(
    servers: Servers, ca_file: Path, make_kernel: MakeKernel, kind: str
) -> None:
    kernel = make_kernel(servers.database(kind, HERE), database_ca_file=ca_file)
    order_id = client(kernel).submitted()
    drain(kernel)
    assert order(kernel, order_id).state == "success"
    for engine in (kernel.engines.writing, kernel.engines.single, kernel.engines.running):
        with engine.connect() as connection:
            said = connection.scalar(text(SPOKEN[engine.dialect.name]))
        assert str(said).startswith("TLSv1."), engine


@each_kind
def test_database_is_migrated_over_tls_and_checked(
    servers: Servers,
    ca_file: Path,
    empty_terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    url = servers.database(kind, HERE)
    empty_terminal.settings |= {"database_url": url, "database_ca_file": str(ca_file)}
    monkeypatch.setattr(link, "is_local", lambda _: False)
    empty_terminal.run("migrate")
    checks = {one["check"]: one for one in empty_terminal.json("config", "check", exit_code=1)}
    assert "answers and is migrated" in checks["database"]["detail"]
    assert "KERNEL_DATABASE_CA_FILE" not in checks["database"]["detail"]


@each_kind
def test_server_is_refused_when_another_authority_signed_its_certificate(
    servers: Servers, make_kernel: MakeKernel, tmp_path: Path, kind: str
) -> None:
    stranger = pem(trustme.CA(), tmp_path / "stranger.pem")
    assert "certificate verify failed" in refused(
        servers.database(kind, HERE), stranger, make_kernel
    )


@each_kind
def test_server_is_refused_when_its_certificate_has_another_name(
    servers: Servers, ca_file: Path, make_kernel: MakeKernel, kind: str
) -> None:
    said = refused(servers.database(kind, ELSEWHERE), ca_file, make_kernel)
    assert "certificate" in said
    assert HERE in said


@pytest.mark.parametrize("plain", ["mariadb_url", "postgresql_url"])
def test_server_is_refused_when_it_speaks_no_tls(
    ca_file: Path, make_kernel: MakeKernel, plain: str, request: pytest.FixtureRequest
) -> None:
    """As another machine in between would say it, to get the password in clear."""
    assert "SSL" in refused(request.getfixturevalue(plain), ca_file, make_kernel)


@each_kind
def test_start_warns_when_others_could_read_or_take_over_the_connection(
    servers: Servers,
    ca_file: Path,
    make_kernel: MakeKernel,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    url, plain = servers.database(kind, HERE), request.getfixturevalue(f"{kind}_url")

    def warnings(url: str, **settings: Any) -> list[str]:
        said = startup.check_database(make_kernel(url, **settings))
        return [one for one in said if "KERNEL_DATABASE_CA_FILE" in one]

    assert warnings(plain) == [], "on loopback"
    monkeypatch.setattr(link, "is_local", lambda _: False)
    (open_,) = warnings(plain)
    assert f"at {HERE} is not encrypted" in open_
    (unverified,) = warnings(url)  # both drivers speak TLS with a server that offers it
    assert "encrypted but not verified" in unverified
    assert warnings(url, database_ca_file=ca_file) == []


@pytest.mark.parametrize(
    ("address", "local"),
    [
        *(("", True), ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True)),
        *(("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("::ffff:10.0.0.1", False)),
        *(("fe80::1%eth0", False), ("2001:db8::1", False)),
    ],
)
def test_server_is_local_on_loopback_and_by_a_socket_file(address: str, *, local: bool) -> None:
    assert link.is_local(address) is local


def test_own_words_of_the_url_stay(ca_file: Path) -> None:
    for url in (
        "mysql+pymysql://a@b/c?ssl_ca=%2Fown.pem",
        "postgresql+psycopg://a@b/c?sslmode=require",
        "sqlite:///x.db",
    ):
        assert url_of(load(database_url=url, database_ca_file=ca_file)) == url
