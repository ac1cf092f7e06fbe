"""An installation with awkward rows in every table, and an empty database of another kind."""

from collections.abc import Iterator
from itertools import permutations

import pytest

from kernel.db.copying.pages import Sides
from kernel.db.engine import make_engine
from tests.support.filling import TABLES, fill
from tests.support.fixtures import mariadb_url, postgresql_url, sqlite_url

__all__ = ["mariadb_url", "postgresql_url", "sqlite_url"]

# Each is copied to the next one, and the last to the first; a test that is to see every pair asks
# for `EVERY_PAIR`.
KINDS = ("sqlite", "mariadb", "postgresql")
PAIRS = list(zip(KINDS, (*KINDS[1:], KINDS[0]), strict=True))
EVERY_PAIR = list(permutations(KINDS, 2))
# More than fit into a page, or into the second one.
MANY = {"kernel_orders": 350, "kernel_run_marks": 101}


@pytest.fixture(params=PAIRS, ids=" to ".join)
def urls(request: pytest.FixtureRequest) -> tuple[str, str]:
    """URLs of two databases without tables."""
    source, target = (str(request.getfixturevalue(f"{kind}_url")) for kind in request.param)
    return source, target


@pytest.fixture
def sides(urls: tuple[str, str]) -> Iterator[Sides]:
    """Both databases with tables, the first with rows; what is told stands nowhere."""
    source, target = map(make_engine, urls)
    for engine in (source, target):
        TABLES[0].metadata.create_all(engine)
    fill(source, MANY)
    yield Sides(source, target, TABLES, lambda _: None)
    source.dispose()
    target.dispose()
