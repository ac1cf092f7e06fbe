"""Rows that cannot be changed keep no other row waiting, and are not said twice."""

import pymysql
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from kernel.worker.maintenance.set_aside import LOCKED, SetAside

REFUSED = IntegrityError("", {}, pymysql.err.IntegrityError(1452, "no"))
BUSY = OperationalError("", {}, pymysql.err.OperationalError(1205, "locked"))
AWAY = OperationalError("", {}, pymysql.err.OperationalError(2013, "gone"))


def do(aside: SetAside, rows: str, **errors: Exception) -> str:
    """Do each row but those with an error; return what was tried, in turn."""
    tried: list[str] = []

    def work(row: str) -> None:
        tried.append(row)
        if row in errors:
            raise errors[row]

    try:
        aside.do_each(rows, work, key=str)
    except OperationalError:
        tried.append("!")
    return "".join(tried)


def test_others_are_done_when_a_row_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    aside = SetAside("not done")
    assert do(aside, "abc", b=REFUSED, a=ValueError("no")) == "abc"
    assert do(aside, "abcd", b=REFUSED) == "cd", "what was refused is passed over for a while"
    assert sorted(one.order_id for one in caplog.records) == ["a", "b"]  # type: ignore[attr-defined]


def test_row_that_was_refused_is_tried_last_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    aside = SetAside("not done", seconds=0.0)
    assert do(aside, "abc", a=REFUSED) == "abc"
    assert do(aside, "abc", a=REFUSED) == "bca"
    assert len(caplog.records) == 1
    do(aside, "a")
    assert len(aside) == 0


def test_job_ends_when_rows_are_locked_and_begins_with_others_next_time() -> None:
    aside = SetAside("not done", seconds=0.0)
    locked = dict.fromkeys("abc", BUSY)
    assert do(aside, "abcd", **locked) == "abcd"[:LOCKED]
    assert do(aside, "abcd", **locked) == "cda"


def test_job_ends_when_the_database_is_away() -> None:
    aside = SetAside("not done")
    assert (do(aside, "abc", b=AWAY), len(aside)) == ("ab!", 0)


def test_memory_is_bounded_when_very_many_are_refused() -> None:
    aside = SetAside("not done", most=2)
    do(aside, "abc", **dict.fromkeys("abc", REFUSED))
    assert ["a" in aside, "b" in aside, "c" in aside] == [False, True, True]
