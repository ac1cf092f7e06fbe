"""A server that is demoted: it takes no writes of ordinary users any more, and later does again."""

from sqlalchemy import make_url

from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB
from tests.support.waiting import wait_until

USER = "plain@'127.0.0.1'"


class DemotedMariaDB:
    """Read-only for all but root; ``url`` is that of a user of one schema."""

    def __init__(self, server: MariaDB, url: str) -> None:
        self._server, where = server, make_url(url)
        server.execute(
            f"CREATE OR REPLACE USER {USER} IDENTIFIED BY 'first'",
            f"GRANT ALL ON {where.database}.* TO {USER}",
        )
        plain = where.set(username="plain", password="first")
        self.url = plain.render_as_string(hide_password=False)

    def read_only(self, is_so: bool) -> None:
        """Take no writes, or take them again."""
        self._server.execute(f"SET GLOBAL read_only = {int(is_so)}")

    def rotate_password(self) -> None:
        """Give the user another password, which ``url`` does not have."""
        self._server.execute(f"ALTER USER {USER} IDENTIFIED BY 'second'")

    def close(self) -> None:
        """Leave the server as it was."""
        self.read_only(False)
        self._server.execute(f"DROP USER {USER}")


class DemotedPostgreSQL:
    """Read-only for every session that does not say otherwise."""

    def __init__(self, server: PostgreSQL, url: str) -> None:
        self._server, self.url = server, url

    def read_only(self, is_so: bool) -> None:
        """Take no writes, or take them again; returns when the server has read it."""
        value = "on" if is_so else "off"
        say = f"ALTER SYSTEM SET default_transaction_read_only = {value}"
        self._server.execute(
            "SET default_transaction_read_only = off", say, "SELECT pg_reload_conf()"
        )
        shown = "SHOW default_transaction_read_only"
        wait_until(lambda: self._server.execute(shown) == [(value,)])

    def close(self) -> None:
        """Leave the server as it was."""
        self.read_only(False)
