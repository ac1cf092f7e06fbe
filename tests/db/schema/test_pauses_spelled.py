"""Pauses of an older release: their hosts are spelled as addresses are, and the others stay."""

from sqlalchemy import text

from kernel.db.schema import migrate
from tests.support import old_installation as old

NOW = "2026-01-02 03:04:05.000006"
HOSTS = (
    "HTTPS://Desk.example:8443/",
    "desk.example:8443",
    "plain.example",
    "a b",
    "Quiet.EXAMPLE.",
)


def test_hosts_are_spelled_and_what_is_none_goes(new_database_url: str) -> None:
    migrate.upgrade(new_database_url, "0032")
    stored = "INSERT INTO kernel_pauses (host, caller_id, created_at) VALUES (:host, :caller, :now)"
    with old.connected(new_database_url) as connection:
        for host in HOSTS:
            values = {"host": host, "caller": None, "now": NOW}
            connection.execute(text(stored), values)
        connection.execute(text(stored), {"host": None, "caller": 1, "now": NOW})
    migrate.upgrade(new_database_url)
    asked = text("SELECT id, host, caller_id FROM kernel_pauses ORDER BY id")
    with old.connected(new_database_url) as connection:
        rows = [tuple(row) for row in connection.execute(asked)]
        connection.execute(text("UPDATE kernel_pauses SET tag = 'x', host = NULL WHERE id = 1"))
    assert rows == [
        (1, "desk.example:8443", None),
        (3, "plain.example", None),
        (5, "quiet.example", None),
        (6, None, 1),
    ]
    migrate.downgrade(new_database_url, "0032")
    with old.connected(new_database_url) as connection:
        assert [row.id for row in connection.execute(asked)] == [3, 5, 6]
