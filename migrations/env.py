"""How Alembic reaches the database, for `kernel migrate` and for `alembic` in a checkout."""

from typing import Any

from alembic import context

import kernel.builtin
import kernel.db.tables.orders  # noqa: F401 - both know tables
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.db.dialects import url_of
from kernel.db.schema.running import run
from kernel.db.schema.version import VERSION_TABLE


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave an application's tables out of comparisons, but not a table that kernel has left."""
    ours = name in Base.metadata.tables or str(name).startswith("kernel_")
    return kind != "table" or ours


run(
    context.config.attributes.get("url") or url_of(load()),
    {
        "target_metadata": Base.metadata,
        "include_name": is_ours,
        "version_table": VERSION_TABLE,
    },
)
