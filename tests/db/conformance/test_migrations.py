"""Two that migrate at once leave one whole database."""

from pathlib import Path

from kernel.db.schema import migrate
from kernel.db.schema.version import SCHEMA
from tests.support.programs import PATIENCE, Command


def test_database_is_whole_when_two_migrate_at_once(new_database_url: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with (
        Command(folders[0], "migrate", database_url=new_database_url) as one,
        Command(folders[1], "migrate", database_url=new_database_url) as two,
    ):
        codes = [command.process.wait(PATIENCE) for command in (one, two)]
        # The second one waits for the first, or is told that another migration runs.
        assert 0 in codes
        assert set(codes) <= {0, 1}
    assert migrate.current(new_database_url) == SCHEMA
    migrate.check(new_database_url)
