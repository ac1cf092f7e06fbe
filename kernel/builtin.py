"""The two built-in handlers; they also show how to write one.

``create_project``    inserts one project, as the original system does
``import_projects``   inserts a list of projects, with a checkpoint per chunk of 20
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Integer, String, Table, Text, insert
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.schema import Column

from kernel.db.columns import OPTIONS, Base, UTCDateTime
from kernel.errors import Reject
from kernel.handlers import Handlers, Partial, Run

CHUNK = 20
SHOWN_ERRORS = 100

handlers = Handlers()

# The original system's table; `kernel migrate` leaves it unchanged where it exists.
projects = Table(
    "project_tb_project",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("projname", String(255), nullable=False),
    Column("prodesc", Text, nullable=False),
    Column("projctime", UTCDateTime, nullable=False),
    **OPTIONS,
)
_INSERT = insert(projects)


class CreateProject(BaseModel):
    """One project."""

    projname: str = Field(min_length=1, max_length=255, examples=["Bridge"])
    prodesc: str = Field("", max_length=16_000, examples=["over the river"])


class ImportProjects(BaseModel):
    """Many projects. A bad row does not stop the others, so rows are checked one by one."""

    projects: list[Any] = Field(
        min_length=1, max_length=10_000, examples=[[{"projname": "Bridge"}, {"projname": "Tunnel"}]]
    )


@handlers.register("create_project", CreateProject, together=True)
def create_project(run: Run, args: CreateProject) -> dict[str, Any]:
    """Insert one project; the outcome and the callback commit with it."""
    if not args.projname.strip():
        raise Reject("blank_name", "a project needs a name that is not blank")
    run.session.execute(_INSERT, _row(run, args))
    return {"projname": args.projname}


@handlers.register("import_projects", ImportProjects)
def import_projects(run: Run, args: ImportProjects) -> dict[str, Any] | Partial:
    """Insert the good rows chunk by chunk. After a crash the next run goes on after the last
    saved chunk.
    """
    return import_rows(run, args.projects)


def import_rows(
    run: Run, rows: Sequence[Any], saved: Callable[[], None] = lambda: None
) -> dict[str, Any] | Partial:
    """Insert the good ones of ``rows``, as `import_projects` does; call ``saved`` per chunk."""
    total = len(rows)
    done = run.progress.current if run.progress else 0
    tally = run.state or {"imported": 0, "bad": []}
    while done < total:
        chunk = rows[done : done + CHUNK]
        bad = sorted(_import(run, done, chunk), key=itemgetter("row"))
        tally["imported"] += len(chunk) - len(bad)
        tally["bad"] += bad
        done += len(chunk)
        run.checkpoint(done, total, f"{tally['imported']} imported", tally)
        saved()
    result = {"imported": tally["imported"], "failed": len(tally["bad"])}
    if not tally["bad"]:
        return result
    shown = tally["bad"][:SHOWN_ERRORS]
    return Partial(result | {"errors": shown}, f"{len(tally['bad'])} of {total} rows failed")


def _import(run: Run, offset: int, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Insert the good ones of ``rows``; yield the others as ``{row, error}``."""
    good: dict[int, CreateProject] = {}
    for number, row in enumerate(rows, offset):
        try:
            good[number] = CreateProject.model_validate(row, strict=True, extra="forbid")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            yield {"row": number, "error": f"{place}: {first['msg']}".lstrip(": ")}
    if good and not _inserted(run, list(good.values())):
        for number, project in good.items():
            if not _inserted(run, [project]):
                yield {"row": number, "error": "the database refused this row"}


def _inserted(run: Run, chunk: Sequence[CreateProject]) -> bool:
    """Insert all of ``chunk`` in one statement. False if the database refused one of them, and
    none is inserted: `_import` then tries them one by one.
    """
    try:
        with run.savepoint():
            run.session.execute(_INSERT, [_row(run, project) for project in chunk])
    except (IntegrityError, DataError):
        return False
    return True


def _row(run: Run, project: CreateProject) -> dict[str, Any]:
    return {**project.model_dump(), "projctime": run.now}
