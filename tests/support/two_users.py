"""A database with the two users of deploy/databases, made by the statements that stand there.

On the tests' servers it has another name: the owner of the tests' PostgreSQL is called kernel.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import make_url

from tests.support.deployment import DEPLOY
from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB

NAME, PASSWORD = "rights", "of-a-user"
MIGRATE = "kernel_migrate"


@dataclass(frozen=True)
class TwoUsers:
    """The database's URL as the server's owner, as the service, and as `kernel migrate`."""

    owner: str
    service: str
    migrate: str


def statements(kind: str) -> list[list[str]]:
    """Return the file's statements; those behind ``\\connect`` are a list of their own."""
    text = re.sub(r"^--.*\n", "", (DEPLOY / "databases" / f"{kind}.sql").read_text(), flags=re.M)
    text = re.sub(r"\bkernel\b", NAME, text)
    text = text.replace("'PASSWORD'", f"'{PASSWORD}'")
    text = text.replace("'PASSWORD_OF_MIGRATE'", f"'{PASSWORD}'")
    parts = re.split(r"^\\connect \w+\n", text, flags=re.M)
    return [[one.strip() for one in part.split(";") if one.strip()] for part in parts]


def append_only(kind: str, server: MariaDB | PostgreSQL) -> None:
    """Take away what would let the service rewrite its audit trail, from migrated tables."""
    (taken,) = statements(f"{kind}-audit")
    if isinstance(server, MariaDB):
        server.execute(*taken)
    else:
        server.execute(*taken, database=NAME)


def _urls(url: str) -> TwoUsers:
    owner = make_url(url).set(database=NAME)

    def of(user: str) -> str:
        return owner.set(username=user, password=PASSWORD).render_as_string(hide_password=False)

    return TwoUsers(owner.render_as_string(hide_password=False), of(NAME), of(MIGRATE))


@contextmanager
def on_mariadb(server: MariaDB) -> Iterator[TwoUsers]:
    """Make database and users; remove them after the block."""
    (made,) = statements("mariadb")
    server.execute(*made)
    urls = _urls(f"mysql+pymysql://root@127.0.0.1:{server.port}/x?charset=utf8mb4")
    try:
        yield urls
    finally:
        server.drop(urls.owner)
        server.execute(f"DROP USER {NAME}@'%', {MIGRATE}@'%'")


@contextmanager
def on_postgresql(server: PostgreSQL) -> Iterator[TwoUsers]:
    """Make database and users; remove them after the block."""
    before, inside = statements("postgresql")
    server.execute(*before)
    server.execute(*inside, database=NAME)
    urls = _urls(f"postgresql+psycopg://kernel@127.0.0.1:{server.port}/x")
    try:
        yield urls
    finally:
        server.drop(urls.owner)
        server.execute(f"DROP ROLE {NAME}", f"DROP ROLE {MIGRATE}")
