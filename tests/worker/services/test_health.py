"""What is an outage, and what is logged of a failure."""

import logging

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from kernel.worker.services.health import Health


def database_error(number: int) -> OperationalError:
    """An error as MariaDB answers it."""
    return OperationalError("", {}, pymysql.err.OperationalError(number, "no"))


OUTAGE, *ANSWERS = map(database_error, (2013, 1205, 1213, 1054, 1451, 1969))


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [(OUTAGE, True), *((one, False) for one in (*ANSWERS, KeyError()))],
)
def test_time_of_reaching_begins_anew_when_the_database_was_away_not_when_it_answered(
    error: Exception, is_outage: bool
) -> None:
    health = Health()
    health.worked("claim", asked=True)
    health.failed("record", error)
    assert health.has_reached_database_for(0.0) != is_outage
    health.worked("claim", asked=True)
    assert health.has_reached_database_for(0.0)


def test_database_is_not_reached_when_no_turn_has_asked_it() -> None:
    health = Health()
    health.worked("timers")
    assert not health.has_reached_database_for(0.0)
    health.worked("claim", asked=True)
    assert not health.has_reached_database_for(3600.0)


def test_failure_is_logged_once_when_it_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = Health()
    for error in (OUTAGE, OUTAGE, KeyError(), KeyError()):
        health.failed("record", error)
    health.worked("record")
    health.worked("record")
    assert [one.levelname for one in caplog.records] == ["WARNING", "ERROR", "WARNING"]
    assert "works again" in caplog.text
