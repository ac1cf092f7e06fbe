"""Databases and Redis, and an installation that an older release has filled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fixtures import make_kernel, mariadb_url
from tests.support.servers import Redis
from tests.upgrade.upgraded import Upgraded

__all__ = ["make_kernel", "mariadb_url"]


@pytest.fixture
def upgraded(tmp_path: Path, mariadb_url: str, redis: Redis) -> Iterator[Upgraded]:
    """An installation on MariaDB and Redis, empty as yet."""
    with Upgraded(tmp_path, mariadb_url, redis) as installation:
        yield installation
