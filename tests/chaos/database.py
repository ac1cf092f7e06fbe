"""The database of the system under test; its MariaDB has a plain user, and a clock to be set."""

import sqlite3
from typing import Any

import psycopg
import pymysql
from sqlalchemy import make_url

from kernel.db.dialects.psycopg_waiting import limit_waiting
from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB, find_library
from tests.support.set_clock import LIBFAKETIME

FAKETIME = find_library(LIBFAKETIME)
USER, PASSWORD = "chaos", "chaos"
# What the drivers raise when a database refuses a statement, or does not answer.
REFUSED = (pymysql.MySQLError, psycopg.Error, sqlite3.Error)


class ChaosMariaDB(MariaDB):
    """Its processes are a user's who may not write to a read-only server."""

    def __init__(self) -> None:
        super().__init__()
        # How far its clock is off, as libfaketime reads it.
        self.offset = self.folder / "offset"
        self._is_faked = False

    def argv(self) -> list[str]:
        """Refuse INTO OUTFILE everywhere (1290), and preload libfaketime when asked to."""
        nowhere = self.folder / "exports"
        nowhere.mkdir(exist_ok=True)
        argv = [*super().argv(), f"--secure-file-priv={nowhere}"]
        if not self._is_faked:
            return argv
        env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.offset}
        env |= {"FAKETIME_NO_CACHE": 1, "DONT_FAKE_MONOTONIC": 1}
        return ["env", *(f"{name}={value}" for name, value in env.items()), *argv]

    def fake_clock(self, faked: bool) -> None:
        """Restart it so that its clock follows `set_clock`, or the machine's again."""
        self.set_clock(0)
        self._is_faked = faked
        self.restart()

    def set_clock(self, seconds: int) -> None:
        """Have its clock be wrong by so much from now on."""
        written = self.offset.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.rename(self.offset)

    def plain(self, url: str) -> str:
        """Return this URL with a user who may do everything in its schema and nothing outside."""
        where = make_url(url)
        self.execute(
            f"CREATE OR REPLACE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON {where.database}.* TO {USER}@'%'",
            f"GRANT FILE ON *.* TO {USER}@'%'",
        )
        plain = where.set(username=USER, password=PASSWORD)
        return plain.render_as_string(hide_password=False)

    def let_write(self, allowed: bool) -> None:
        """Let that user write to a read-only server, by connections that are opened from now on."""
        verb, to = ("GRANT", "TO") if allowed else ("REVOKE", "FROM")
        self.execute(f"{verb} READ_ONLY ADMIN ON *.* {to} {USER}@'%'")


def make_server(variant: str) -> ChaosMariaDB | PostgreSQL | None:
    """Make the database's server; it is not started yet. None: the database is a file."""
    if variant == "sqlite":
        return None
    return PostgreSQL() if variant == "postgresql" else ChaosMariaDB()


def connect(server: ChaosMariaDB | PostgreSQL | None, name: str) -> Any:
    """Open a connection that gives up after some seconds; without a server ``name`` is a file."""
    if server is None:
        return sqlite3.connect(name, timeout=5)
    if isinstance(server, PostgreSQL):
        found = psycopg.connect(
            host="127.0.0.1", port=server.port, user="kernel", dbname=name, connect_timeout=3
        )
        limit_waiting(found, 5)
        return found
    return pymysql.connect(
        host="127.0.0.1",
        port=server.port,
        user="root",
        database=name,
        connect_timeout=3,
        read_timeout=5,
        ssl_disabled=True,
    )
