"""Wheels of three older commits run for real, and this code takes over their data and orders."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from kernel.db.schema.version import SCHEMA
from tests.upgrade.older import Older
from tests.upgrade.past import BOTH, Client, live, with_callers
from tests.upgrade.releases import RELEASES, Release, install
from tests.upgrade.upgraded import Upgraded
from tests.upgrade.workshop import EFFECTS


@pytest.fixture
def release(request: pytest.FixtureRequest) -> Release:
    """The release that the test is run for."""
    found: Release = request.param
    return found


def named(release: Release) -> str:
    """What the test is called that is run for a release."""
    return release.name


each_release = pytest.mark.parametrize("release", RELEASES, ids=named, indirect=True)
# Those whose tables have the names of now: the docs let them run on beside this code.
each_that_overlaps = pytest.mark.parametrize(
    "release", [one for one in RELEASES if one.has_own_names], ids=named, indirect=True
)


@contextmanager
def installed(release: Release, upgraded: Upgraded) -> Iterator[Older]:
    """The older release, with a database that it has migrated."""
    bin = install(release, upgraded.folder / release.name)
    with closing(Older(bin, upgraded.folder, upgraded.old_settings())) as older:
        older.run("migrate")
        upgraded.execute(EFFECTS)
        yield older


def accept_callbacks(upgraded: Upgraded) -> None:
    """From now on the receiver answers well, and counts anew."""
    upgraded.receiver.requests.clear()
    upgraded.receiver.default = 200


@pytest.mark.slow
@each_release
def test_everything_goes_on_when_an_older_release_was_stopped_at_work(
    release: Release, upgraded: Upgraded
) -> None:
    with installed(release, upgraded) as older:
        upgraded.take_over(live(older, release, upgraded.receiver))
        migrated = upgraded.migrate(*([] if release.has_own_names else ["--force"]))
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        accept_callbacks(upgraded)
        upgraded.worker()
        upgraded.api()
        upgraded.everything_goes_on()
        upgraded.pages_open()
        upgraded.original_still_answers()
    found = upgraded.execute("SELECT version_num FROM kernel_alembic_version")
    assert found == [(SCHEMA,)]


@pytest.mark.slow
@each_that_overlaps
def test_nothing_stands_still_when_one_process_after_the_other_is_replaced(
    release: Release, upgraded: Upgraded
) -> None:
    """The order of docs/operations.md: the migration, then the workers, then the API."""
    with installed(release, upgraded) as older:
        past = with_callers(older, upgraded.receiver)
        upgraded.take_over(past)
        client = Client(older, upgraded.receiver, past)
        api, worker = older.api(), older.worker()
        migrated = upgraded.migrate()
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        client.wait(client.order("by-the-older-alone", "work", effects=BOTH), "success")
        upgraded.worker()
        names = [f"by-both-{n}" for n in range(8)]
        many = [client.order(one, "work", effects=BOTH) for one in names]
        for one in many:
            client.wait(one, "success")
        older.end(worker)
        client.wait(client.order("of-the-older-api", "work", effects=BOTH), "success")
        older.end(api)
        upgraded.api()
        upgraded.everything_goes_on()
        upgraded.original_still_answers()
