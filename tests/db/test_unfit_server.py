"""A server that is there and cannot serve: its pool is renewed; callers are told to come back."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url, text

from kernel.db.errors import is_passing
from kernel.errors import Unavailable
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, request
from tests.support.servers import MariaDB

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def plain_url(mariadb: MariaDB, mariadb_rows_url: str, make_kernel: MakeKernel) -> Iterator[str]:
    """The URL of a user whom a read-only server refuses, as it does every application's."""
    make_kernel(mariadb_rows_url)
    url = make_url(mariadb_rows_url)
    mariadb.execute(
        "CREATE OR REPLACE USER plain@'127.0.0.1' IDENTIFIED BY 'first'",
        f"GRANT ALL ON {url.database}.* TO plain@'127.0.0.1'",
    )
    yield url.set(username="plain", password="first").render_as_string(hide_password=False)
    mariadb.execute("SET GLOBAL read_only = 0", "DROP USER plain@'127.0.0.1'")


def number(kernel: Kernel) -> int:
    with kernel.read() as connection:
        return int(connection.scalar(text("SELECT CONNECTION_ID()")) or 0)


def test_submit_is_served_again_at_once_when_a_demoted_primary_was_left(
    mariadb: MariaDB, make_kernel: MakeKernel, plain_url: str
) -> None:
    kernel = make_kernel(plain_url)
    submit(kernel, ANYBODY, request())
    before = number(kernel)
    mariadb.execute("SET GLOBAL read_only = 1")
    with pytest.raises(Unavailable) as refused:
        submit(kernel, ANYBODY, request())
    assert refused.value.data["retry_after"] > 0
    mariadb.execute("SET GLOBAL read_only = 0")
    submit(kernel, ANYBODY, request())
    assert number(kernel) != before, "its pool was kept"


def test_submit_is_unavailable_when_the_password_was_rotated(
    mariadb: MariaDB, make_kernel: MakeKernel, plain_url: str
) -> None:
    kernel = make_kernel(plain_url)
    mariadb.execute("ALTER USER plain@'127.0.0.1' IDENTIFIED BY 'second'")
    kernel.close()
    with pytest.raises(Unavailable):
        submit(kernel, ANYBODY, request())


def test_pool_is_kept_when_a_statement_is_refused_by_a_server_that_is_fit(
    make_kernel: MakeKernel, plain_url: str
) -> None:
    kernel = make_kernel(plain_url)
    before = number(kernel)
    with kernel.engines.single.connect() as connection, pytest.raises(Exception) as refused:  # noqa: PT011
        connection.execute(text("SELECT never FROM kernel_orders"))
    assert not is_passing(refused.value)
    assert number(kernel) == before
