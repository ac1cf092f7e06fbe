"""How each database answers what the stages ask: by an index, however large the tables are.

Everything happens once on a few thousand rows, every statement is heard, and its plan looked at.
A place that asks the database and was not heard fails `test_every_question_is_asked_...`: add
what leads there to `tests/support/queries/statements.py`. The planner is left as it is. SQLite does
not say how many rows it expects: there a scan along an index is let pass when a LIMIT may end it.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.queries.filled import copy_rows, filled_mariadb, new_kernel, without
from tests.support.queries.plans import Said, complaints, listening, silent
from tests.support.queries.statements import HAPPENINGS, people_look, time_goes_by
from tests.support.servers import MariaDB


@pytest.fixture(scope="module")
def source(mariadb: MariaDB) -> Iterator[Kernel]:
    """A kernel on the rows that each kind of database gets a copy of."""
    with filled_mariadb(mariadb) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def filled_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """URL of a new database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('plans')}/kernel.db"
        return
    server = request.getfixturevalue(request.param)
    url = server.create_database()
    yield url
    server.drop(url)


@pytest.fixture(scope="module")
def kernel(source: Kernel, filled_url: str) -> Iterator[Kernel]:
    """A kernel on a few thousand rows, with the statistics that a server has after a while."""
    with closing(new_kernel(filled_url)) as kernel:
        copy_rows(source.engine, kernel.engine)
        yield kernel


@pytest.fixture(scope="module")
def said(kernel: Kernel) -> list[Said]:
    """Every statement, with the plan it had when it was said."""
    with listening(kernel) as found:
        for happening in HAPPENINGS:
            happening(kernel)
    return found


def test_every_question_is_asked_when_everything_happens(said: list[Said]) -> None:
    assert silent(said) == []


def test_no_large_table_is_read_whole_when_everything_happens(said: list[Said]) -> None:
    assert sorted({wrong for one in said for wrong in complaints(one)}) == []


@pytest.mark.parametrize(
    ("index", "happening"),
    [
        ("ix_kernel_orders_finished_at", time_goes_by),
        ("ix_kernel_deliveries_order_id", people_look),
        ("ix_kernel_attempts_delivery_id", people_look),
    ],
)
def test_scan_is_noticed_when_an_index_is_missing(
    kernel: Kernel, said: list[Said], index: str, happening: Callable[[Kernel], None]
) -> None:
    with without(kernel, index), listening(kernel) as found:
        happening(kernel)
    assert [wrong for one in found for wrong in complaints(one)] != []
