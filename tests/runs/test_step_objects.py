"""Objects that a step adds to the session: what the database says of them is the step's error.

On SQLite it is that ROLLBACK, by which a session answers a refusal, is refused in turn.
"""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase

from kernel import StepRetry
from kernel.builtin import projects
from kernel.handlers import Run
from tests.support.handlers.misbehaving import names, write
from tests.support.handlers.stepping import Desk, MakeKernel


class Base(DeclarativeBase):
    """The objects of these tests."""


class Project(Base):
    """A row, whose name must not be null."""

    __table__ = projects


def add(run: Run, name: str | None) -> None:
    """Add an object, and leave it to the session when that writes it."""
    run.session.add(Project(projname=name, prodesc="", projctime=run.now))


def test_step_is_tried_again_when_the_object_that_it_has_added_is_refused(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> None:
        write(run, "before")
        name = None if run.number == 1 else "added"
        run.step("far", add, run, name, retry=StepRetry())

    desk = Desk(make_kernel, database_url, work)
    assert desk.run().state == "pending"
    assert desk.told() == [("far", 1, False)]
    assert desk.steps[0].error.startswith("sqlalchemy.exc.")
    assert desk.run().state == "success"
    with desk.kernel.read_session() as session:
        assert sorted(names(session)) == ["added", "before", "before"]


def test_handler_goes_on_when_it_catches_the_error_of_what_a_step_has_added(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> Any:
        with pytest.raises(DBAPIError):
            run.step("far", add, run, None)
        run.step("next", add, run, "added")
        write(run, "after")

    desk = Desk(make_kernel, database_url, work)
    assert desk.run().state == "success"
    assert desk.told() == [("far", 1, False), ("next", 1, True)]
    with desk.kernel.read_session() as session:
        assert sorted(names(session)) == ["added", "after"]
