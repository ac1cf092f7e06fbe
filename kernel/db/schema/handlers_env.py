"""What the env.py of handlers' migrations calls: the service's database, lock and version table.

from kernel.db.schema.handlers_env import run_migrations
from myhandlers import metadata

run_migrations(metadata)
"""

from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import MetaData

from kernel.config.settings import load
from kernel.db.dialects import url_of
from kernel.db.schema.running import run
from kernel.db.schema.scripts import Scripts, scripts_of


def run_migrations(*metadata: MetaData) -> None:
    """Run the migrations of the tables in ``metadata``, for `kernel migrate` and for `alembic`.

    Other tables, kernel's and an application's, are left out of comparisons, so that ``alembic
    revision --autogenerate`` drops none of them; nor one that is no longer in ``metadata``.
    """
    given = context.config.attributes
    tables = {(one.schema, one.name) for all_ in metadata for one in all_.tables.values()}
    schemas = {schema for schema, _ in tables}

    def is_theirs(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name in schemas
        return kind != "table" or (parents.get("schema_name"), name) in tables

    run(
        given.get("url") or url_of(load()),
        {
            "target_metadata": list(metadata),
            "include_name": is_theirs,
            "include_schemas": schemas > {None},
            "version_table": given.get("version_table") or _version_table(),
        },
    )


def _version_table() -> str:
    """Return the version table of the folder that `alembic` runs in."""
    folder = Path(context.script.dir).resolve()
    known = scripts_of(load().handlers_migrations)
    one = next((one for one in known if one.folder.resolve() == folder), Scripts("", folder))
    return one.version_table
