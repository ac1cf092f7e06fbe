"""With the rights of deploy/databases the service writes acts and cannot rewrite them."""

import re
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel.callers.audit import seals
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.db.tables.audit import ACTS
from kernel.handlers import Handlers
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.deployment import DEPLOY
from tests.support.two_users import append_only, on_mariadb, on_postgresql

KEPT = {"kernel_acts", "kernel_act_seals"}
ON = {"mariadb": on_mariadb, "postgresql": on_postgresql}


@pytest.mark.parametrize("kind", ON)
def test_service_cannot_rewrite_the_trail(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    with ON[kind](server) as urls:
        migrate.upgrade(urls.migrate)
        append_only(kind, server)
        settings = load(database_url=urls.service, result_backend="")
        with closing(Kernel(settings, Handlers(), FakeTransport())) as service:
            check(service)


def check(service: Kernel) -> None:
    """Write acts and a seal; try to rewrite them."""
    pause(service, Subject(host="in.example"))
    resume(service, Subject(host="in.example"))
    service.clock.shift(61)
    with service.write() as connection:
        found = seals.unsealed(connection, service.clock, seals.SealedActs())
        assert found is not None
        assert seals.seal(connection, service.clock, found)
    for table in KEPT:
        for statement in (f"UPDATE {table} SET id = 99", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="denied"), service.write() as connection:
                connection.execute(text(statement))
    with service.read() as connection:
        assert seals.verify(connection, service.clock).problems == []


def test_file_for_mariadb_names_every_other_table() -> None:
    given = re.findall(
        r"^GRANT UPDATE, DELETE ON kernel\.(\w+) TO kernel@'%';$",
        (DEPLOY / "databases" / "mariadb-audit.sql").read_text(),
        re.MULTILINE,
    )
    tables = {name for name in ACTS.metadata.tables if name.startswith("kernel_")}
    assert given == sorted(tables - KEPT)
