"""A server that is there and cannot serve: its pool is renewed; callers are told to come back."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel.db.dialects import mysql
from kernel.db.errors import is_passing
from kernel.errors import Unavailable
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind
from tests.support.demotion import DemotedMariaDB, DemotedPostgreSQL
from tests.support.factories import ANYBODY, request
from tests.support.servers import MariaDB
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]
DEMOTED = {"mysql": ("mariadb", DemotedMariaDB), "postgresql": ("postgresql", DemotedPostgreSQL)}


@pytest.fixture
def demoted(
    kernel: Kernel, kind: Kind, database_url: str, request: pytest.FixtureRequest
) -> Iterator[DemotedMariaDB | DemotedPostgreSQL | None]:
    """The kernel's server, to be demoted; None where there is none that could be."""
    if "be demoted" in kind.cannot:
        yield None
        return
    name, made = DEMOTED[kernel.engine.dialect.name]
    with closing(made(request.getfixturevalue(name), database_url)) as server:
        yield server


def number(kernel: Kernel, kind: Kind) -> int:
    """Return which connection a pool hands out."""
    with kernel.engines.single.connect() as connection:
        return int(connection.scalar(text(kind.number)) or 0)


def test_submit_is_served_again_at_once_when_the_server_takes_writes_again(
    make_kernel: MakeKernel,
    kernel: Kernel,
    kind: Kind,
    demoted: DemotedMariaDB | DemotedPostgreSQL | None,
) -> None:
    assert kernel.dialect.is_remote == (demoted is not None)
    if demoted is None:
        return
    plain = make_kernel(demoted.url)
    submit(plain, ANYBODY, request())
    before = number(plain, kind)
    demoted.read_only(True)
    with pytest.raises(Unavailable) as refused:
        submit(plain, ANYBODY, request())
    assert refused.value.data["retry_after"] > 0
    demoted.read_only(False)
    submit(plain, ANYBODY, request())
    assert number(plain, kind) != before, "its pool was kept"


def test_connections_that_only_read_leave_a_server_that_takes_no_writes(
    make_kernel: MakeKernel,
    kernel: Kernel,
    kind: Kind,
    demoted: DemotedMariaDB | DemotedPostgreSQL | None,
) -> None:
    """The address may lead to another server by then; one in constant use is never idle."""
    assert kernel.dialect.is_remote == (demoted is not None)
    if demoted is None:
        return
    plain = make_kernel(demoted.url)
    submit(plain, ANYBODY, request())
    before = number(plain, kind)
    demoted.read_only(True)
    with pytest.raises(DBAPIError), plain.write() as connection:  # another pool's
        connection.execute(text("DELETE FROM kernel_orders"))
    wait_until(lambda: number(plain, kind) != before, 5, "another connection")
    demoted.read_only(False)
    after = number(plain, kind)
    assert {number(plain, kind) for _ in range(20)} == {after}


def test_pool_is_kept_when_a_fit_server_refuses_a_statement(kernel: Kernel, kind: Kind) -> None:
    asked = kind.number or "SELECT 0"
    with kernel.engines.single.connect() as connection:
        before = connection.scalar(text(asked))
        with pytest.raises(Exception) as refused:  # noqa: PT011
            connection.execute(text("SELECT never FROM kernel_orders"))
        connection.rollback()
    assert not is_passing(refused.value)
    with kernel.engines.single.connect() as connection:
        assert connection.scalar(text(asked)) == before


def test_submit_is_unavailable_when_the_password_was_rotated(
    mariadb: MariaDB, mariadb_rows_url: str, make_kernel: MakeKernel
) -> None:
    make_kernel(mariadb_rows_url)
    with closing(DemotedMariaDB(mariadb, mariadb_rows_url)) as server:
        kernel = make_kernel(server.url)
        server.rotate_password()
        kernel.close()
        with pytest.raises(Unavailable):
            submit(kernel, ANYBODY, request())


@pytest.mark.parametrize(
    ("value", "is_so"),
    [
        *[("0", False), ("1", True), ("'OFF'", False), ("'ON'", True)],
        *[("'NO_LOCK'", True), ("'NO_LOCK_NO_ADMIN'", True)],
    ],
)
def test_server_is_read_only_by_a_number_or_by_a_word(
    mariadb: MariaDB, value: str, is_so: bool
) -> None:
    """MariaDB 12.0 and newer say it by a word."""
    asked = mysql.IS_READ_ONLY.replace("@@global.read_only", value)
    assert mariadb.execute(asked) == ((int(is_so),),)
