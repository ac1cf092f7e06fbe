"""Which kinds of database a test runs on: the one list of them.

A test that asks for one of `ASKING` (`database_url` as a rule) runs once per kind and is marked
`rows`.
The rooms of HTTP, pages, the command line and callers ask rows nothing that the rooms below have
not asked on each kind: they run on the main database alone, and on each with
KERNEL_TEST_DATABASES=all. With KERNEL_TEST_DATABASES=main every test runs on the main one alone.
"""

from pathlib import Path

import pytest

from tests.support.guards import ALL_DATABASES, MAIN_DATABASE, ONE_DATABASE

KINDS = ("sqlite", "mariadb", "postgresql")
# Fixtures that get a kind as their parameter, and for how long they keep what they make of it.
ASKING = {"database_url": "function", "new_database_url": "function", "filled_url": "module"}

#: Folders of tests/ that run on the main database alone.
ABOVE_ROWS = frozenset({"callers", "cli", "views"})


def run_on_kinds(metafunc: pytest.Metafunc, tests: Path) -> None:
    """Give a test that asks for a database its kinds; `tests` is the folder of all tests."""
    room = metafunc.definition.path.relative_to(tests).parts[0]
    alone = ONE_DATABASE or (room in ABOVE_ROWS and not ALL_DATABASES)
    marked = [pytest.param(kind, marks=pytest.mark.rows) for kind in KINDS]
    kinds = [MAIN_DATABASE] if alone else marked
    for name in ASKING.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, kinds, indirect=True, scope=ASKING[name])
