"""This code takes over what older releases left: their databases and messages, as they were."""

import pytest

from kernel.db.schema.version import SCHEMA
from tests.upgrade.records import restore
from tests.upgrade.releases import RELEASES, Release
from tests.upgrade.upgraded import Upgraded

each_release = pytest.mark.parametrize("release", RELEASES, ids=[one.name for one in RELEASES])


@pytest.mark.slow
@each_release
def test_everything_goes_on_when_an_older_release_has_left_this(
    release: Release, upgraded: Upgraded
) -> None:
    upgraded.take_over(restore(release, upgraded))
    migrated = upgraded.migrate()
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    upgraded.worker()
    upgraded.api()
    upgraded.everything_goes_on()
    upgraded.pages_open()
    upgraded.original_still_answers()
    assert upgraded.execute("SELECT version_num FROM kernel_alembic_version") == [(SCHEMA,)]
