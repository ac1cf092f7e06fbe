"""Pages by key: every row once, in both directions, with any edge, filter and budget."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, select
from sqlalchemy.dialects import mysql

from kernel.db.ids import first_id
from kernel.db.statements.keyset import Budget, Slice, Walk, Windows, id_range, take

ROWS = Table(
    "rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("ended", Integer, index=True),
    Column("kind", Integer),
)
COLUMNS = tuple(ROWS.c)
ENOUGH = Budget(first=4, largest=16, seconds=1000.0)
BY_ID, BY_END = (ROWS.c.id,), (ROWS.c.ended, ROWS.c.id)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """Sixty rows; several of them ended at the same moment, and every fifth is of kind 0."""
    some = random.Random(7)
    engine = create_engine("sqlite://")
    ROWS.metadata.create_all(engine)
    with engine.connect() as opened:
        rows = [{"id": n, "ended": some.randint(0, 9), "kind": n % 5} for n in range(60)]
        opened.execute(ROWS.insert(), rows)
        yield opened
    engine.dispose()


def walk(by: tuple[Column[int], ...] = BY_ID, up: bool = False) -> Walk:
    return Walk(ROWS, "PRIMARY", by, [ROWS.c.id >= 10], up)


def in_order(connection: Connection, way: Walk, kind: int | None) -> list[int]:
    """The same by Python: the ids of a walk from its beginning."""
    rows = [row for row in connection.execute(select(ROWS)) if row.id >= 10]
    rows.sort(key=way.key, reverse=not way.up)
    return [row.id for row in rows if kind in (None, row.kind)]


def pages(connection: Connection, way: Walk, kind: int | None, budget: Budget) -> Iterator[Slice]:
    """Go through all pages of three rows."""
    edge, rest = None, [] if kind is None else [ROWS.c.kind == kind]
    while True:
        found = take(Windows(connection, way, edge, budget), COLUMNS, rest, 3)
        yield found
        edge = found.edge
        if edge is None:
            return


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("kind", [None, 0])
@pytest.mark.parametrize("by", [BY_ID, BY_END], ids=["id", "end"])
def test_pages_have_every_row_once_in_order_when_read_to_the_end(
    connection: Connection, by: tuple[Column[int], ...], up: bool, kind: int | None
) -> None:
    way = walk(by, up)
    for seconds in (1000.0, -1.0):
        budget = Budget(first=4, largest=16, seconds=seconds)
        found = [row.id for page in pages(connection, way, kind, budget) for row in page.rows]
        assert found == in_order(connection, way, kind)


def test_page_goes_on_below_its_last_row_when_there_is_more(connection: Connection) -> None:
    found = take(Windows(connection, walk(), None, ENOUGH), COLUMNS, [ROWS.c.kind == 0], 3)
    assert ([row.id for row in found.rows], found.edge) == ([55, 50, 45], (45,))
    assert found.looked_at is None, "the page is full: nothing was left out"


def test_page_says_how_far_it_looked_when_its_budget_is_spent(connection: Connection) -> None:
    spent = Budget(first=4, largest=8, seconds=1000.0, rows=12)
    found = take(Windows(connection, walk(), None, spent), COLUMNS, [ROWS.c.kind == 9], 3)
    assert found == Slice([], (48,), 12)


def test_page_is_the_last_when_the_walk_ends(connection: Connection) -> None:
    found = take(Windows(connection, walk(), (13,), ENOUGH), COLUMNS, [ROWS.c.kind == 2], 3)
    assert ([row.id for row in found.rows], found.edge, found.looked_at) == ([12], None, None)


def test_windows_double_until_the_largest_when_nothing_stops_them(connection: Connection) -> None:
    windows = Windows(connection, walk(), None, Budget(first=4, largest=16, seconds=1000.0))
    sizes = [len(connection.execute(select(one)).all()) for one in windows]
    assert sizes == [4, 8, 16, 16, 6]
    assert (windows.ended, windows.edge, windows.looked_at) == (True, (16,), 44)


@dataclass
class Changing:
    """A connection, before each of whose statements other people's rows come and go."""

    connection: Connection
    some: random.Random
    newest: int = 60

    def execute(self, statement: Any) -> Any:
        going = select(ROWS.c.id).where(ROWS.c.kind != 0, ROWS.c.id >= 10)
        ids = list(self.connection.scalars(going))
        gone = self.some.sample(ids, min(3, len(ids)))
        self.connection.execute(ROWS.delete().where(ROWS.c.id.in_(gone)))
        new = [{"id": self.newest + n, "ended": self.some.randint(0, 9)} for n in range(2)]
        self.newest += len(new)
        self.connection.execute(ROWS.insert(), [one | {"kind": 1} for one in new])
        return self.connection.execute(statement)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("by", [BY_ID, BY_END], ids=["id", "end"])
@pytest.mark.parametrize("seed", range(5))
def test_windows_have_rows_that_stay_once_when_others_come_and_go(
    connection: Connection, by: tuple[Column[int], ...], up: bool, seed: int
) -> None:
    stays, rest, way = in_order(connection, walk(by, up), 0), ROWS.c.kind == 0, walk(by, up)
    with connection.begin_nested() as there:
        changing: Any = Changing(connection, random.Random(seed))
        found = [row.id for one in pages(changing, way, 0, ENOUGH) for row in one.rows]
        windows, counted = Windows(changing, way, None, ENOUGH), list[int]()
        for window in windows:
            near = select(ROWS.c.id).join_from(window, ROWS, window.c.id == ROWS.c.id)
            counted += [row.id for row in changing.execute(near.where(rest))]
        there.rollback()
    assert found == stays
    assert sorted(counted) == sorted(stays)
    assert in_order(connection, way, 0) == stays


@pytest.mark.parametrize(
    ("budget", "sizes"),
    [
        (Budget(first=2, largest=8, seconds=1000.0, rows=20), [2, 4, 8, 8]),
        (Budget(first=2, largest=8, seconds=-1.0), [2]),
        (Budget(first=9, largest=9, seconds=1000.0, rows=5), [9]),
    ],
)
def test_budget_ends_when_rows_or_seconds_are_spent(budget: Budget, sizes: list[int]) -> None:
    assert list(budget.sizes()) == sizes


def test_window_is_a_range_of_its_index(connection: Connection) -> None:
    window = next(iter(Windows(connection, walk(up=True), None, ENOUGH)))
    said = select(window).compile(connection, compile_kwargs={"literal_binds": True})
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}").scalars("detail").all()
    assert any("rowid>? AND rowid<?" in one for one in plan), plan


def test_index_is_named_and_its_first_column_bounded_when_mariadb_is_asked() -> None:
    query = walk(BY_END).along(select(ROWS.c.id), (7, 30))
    said = " ".join(str(query.compile(dialect=mysql.dialect())).split())
    assert "FORCE INDEX (PRIMARY)" in said
    assert "ended <= %s AND (`rows`.ended < %s OR `rows`.ended = %s AND `rows`.id < %s)" in said
    assert said.endswith("ORDER BY `rows`.ended DESC, `rows`.id DESC")


def test_times_are_ranges_of_ids_when_rows_are_named_by_them() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    until = since + timedelta(hours=1)
    both = id_range(ROWS.c.id, since, until)
    values = [next(iter(one.compile().params.values())) for one in both]
    assert values == [first_id(since), first_id(until)]
    assert id_range(ROWS.c.id, None, None) == []
