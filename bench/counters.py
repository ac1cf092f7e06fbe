"""Counts of what the servers did: SQL statements, commits and Redis commands."""

from typing import Any

from bench.systems import System

# MariaDB's counters by kind of statement; a rollback is a round trip as well.
STATEMENTS = ("select", "insert", "update", "delete", "set_option", "commit", "rollback", "begin")


class Counters:
    """The servers' counters at one moment. Idle systems add a few statements per second."""

    def __init__(self, system: System) -> None:
        self._servers = system.servers
        self._before = self._read()

    def per_order(self, orders: int) -> dict[str, float]:
        """Return the counts since this moment, per order."""
        now = self._read()
        return {name: (now[name] - self._before[name]) / orders for name in now}

    def _read(self) -> dict[str, float]:
        rows: Any = self._servers.mariadb.execute("SHOW GLOBAL STATUS LIKE 'Com_%'")
        status = {name[4:].lower(): value for name, value in rows}
        found = {name: float(status[name]) for name in STATEMENTS}
        found["statements"] = sum(found.values())
        with self._servers.redis.client() as client:
            stats: Any = client.info("commandstats")
        found["redis"] = sum(one["calls"] for one in stats.values())
        return found
