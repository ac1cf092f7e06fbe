"""Minutes that an older release has counted are counts of all work after the migration."""

import pytest
from sqlalchemy import text

from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.handlers import Handlers
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.trends.rows import BEGINNING, read
from kernel.insight.trends.tallies import EVERYTHING
from kernel.runtime.kernel import Kernel
from tests.support import old_installation as old

MINUTES = (
    "INSERT INTO kernel_minutes (began_at, accepted, finished, attempts, delivered, took)"
    " VALUES (:at, 5, 4, 3, 2, :took)"
)


def test_counted_minutes_are_carried_over_and_left_when_it_is_taken_back(
    new_database_url: str,
) -> None:
    migrate.upgrade(new_database_url, "0025")
    with old.connected(new_database_url) as connection:
        row = {"at": "2026-01-02 03:04:00.000000", "took": '{"72":4}'}
        connection.execute(text(MINUTES), row)
    for _ in range(2):
        migrate.upgrade(new_database_url)
        kernel = Kernel(load(database_url=new_database_url), Handlers())
        with kernel.read_session() as session:
            (found,) = read(session, EVERYTHING, BEGINNING, [MINUTE])
        assert (found.accepted, found.finished, found.attempts, found.delivered) == (5, 4, 3, 2)
        assert found.took.percentile(0.5) == pytest.approx(1.0, rel=0.06)
        kernel.close()
        migrate.downgrade(new_database_url, "0025")
        with old.connected(new_database_url) as connection:
            assert connection.scalar(text("SELECT SUM(finished) FROM kernel_minutes")) == 4
