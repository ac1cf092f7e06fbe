"""What kernel asks of its database, heard as it is said, and how the server goes about it."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

import kernel as package
from kernel.runtime.kernel import Kernel

PACKAGE = Path(package.__file__).parent
ASKING = {"execute", "execute_many", "rows", "scalar", "scalars"}
# Runs what others say.
RUNS = PACKAGE / "db/statements/prepared.py"
# What grows without an end.
LARGE = (
    *("kernel_orders", "kernel_deliveries", "kernel_attempts", "kernel_references"),
    *("kernel_steps", "kernel_events", "kernel_gates", "kernel_keys", "kernel_runs"),
    "kernel_error_hours",  # of errors themselves there are as many as kinds of failures
    *("kernel_counts", "kernel_annotations"),
)
# Commands are for people and run once; a demo and tests' own tools are not the service. What the
# dashboard asks is held by test_insight.py and test_finding.py.
NOT_STAGES = (
    *("cli", "testing/", "views/dashboard", "views/order_page.py", "views/orders/links.py"),
    *("filters/counts", "filters/fields", "filters/plans"),
    *("insight/hosts", "insight/search", "insight/state_counts"),
)
NAMES = frozenset({"ORDERS", "DELIVERIES", "ATTEMPTS", "Order", "Delivery", "Attempt"})
MORE = (
    *("callers/profile.py", "delivery/first_attempt.py", "delivery/release.py"),
    *("insight/readiness.py", "insight/workers/asking.py"),
    *("insight/workers/heartbeat.py", "insight/workers/processes.py"),
)
# A scan along an index is no harm when a LIMIT ends it after so many rows.
FEW = 300
# How the lines of SQLite's plans begin that are about a table.
READS = ("SCAN", "SEARCH")
EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE")
# A table of which only is asked whether it has a row: that ends at the first.
WHETHER = re.compile(r"EXISTS \(SELECT [\w.]+\s+FROM (\w+)\)")
# The end of a statement that locks what it reads.
LOCKS = re.compile(r"\s(FOR (UPDATE|SHARE)|LOCK IN SHARE MODE)[^()]*$")


@dataclass(frozen=True)
class Said:
    """A statement, which line of kernel said it, and how the server goes about it."""

    module: str
    line: int
    statement: str
    plan: Sequence[Mapping[str, Any]]


@contextmanager
def listening(kernel: Kernel) -> Iterator[list[Said]]:
    """Collect every statement of a kernel, and have each explained before it is run."""
    found: list[Said] = []
    # On a connection of its own: what an EXPLAIN locks is free again at its own end, not at ours.
    explaining = create_engine(kernel.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    asking = explaining.connect()

    def hear(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        module, line = _speaker(inspect.currentframe())
        if module and statement.startswith(EXPLAINED):
            given = parameters[0] if many else parameters
            found.append(Said(module, line, statement, _explain(asking, statement, given)))
        else:
            found.append(Said(module, line, statement, ()))

    engines = set(kernel.engines[1:])
    for engine in engines:
        event.listen(engine, "before_cursor_execute", hear)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", hear)
    asking.close()


def _explain(asking: Connection, statement: str, given: Any) -> Sequence[Mapping[str, Any]]:
    """Return a row for each table that a statement reads, as MariaDB has them."""
    whether = set(WHETHER.findall(statement))
    plan = _plan(asking, statement, given)
    return [one for one in plan if one["table"] not in whether]


def _plan(asking: Connection, statement: str, given: Any) -> Sequence[Mapping[str, Any]]:
    if asking.dialect.name == "mysql":
        # EXPLAIN would lock rows as the statement does, and wait for those that we have locked.
        asked = f"EXPLAIN {LOCKS.sub('', statement)}"
        return _capped(asking.exec_driver_sql(asked, given).mappings().all())
    if asking.dialect.name == "sqlite":
        steps = asking.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
        rows = 0 if "LIMIT" in statement else FEW + 1
        return [_step(row.detail, rows) for row in steps if row.detail.startswith(READS)]
    (plan,) = asking.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given).scalar_one()
    return list(_nodes(plan["Plan"], None))


def _capped(plan: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Have MariaDB's scans along an index end where the LIMIT of their derived table does.

    What a derived table comes to stands at the place that reads it, not at the one that makes it.
    """
    most = {one["table"]: int(one["rows"]) for one in plan if str(one["table"])[:8] == "<derived"}
    return [
        one | {"rows": min(int(one["rows"]), most[f"<derived{one['id']}>"])}
        if one["type"] == "index" and f"<derived{one['id']}>" in most
        else one
        for one in map(dict, plan)
    ]


def _step(detail: str, rows: int) -> Mapping[str, Any]:
    """Read what SQLite says of a table: SCAN or SEARCH, its name or alias, and by which index.

    ``rows``: what a scan along an index is taken to read, for SQLite expects no number.
    """
    how, table, *by = detail.split()
    whole = "index" if by else "ALL"
    return {"table": table, "type": whole if how == "SCAN" else "ref", "key": by[-1:], "rows": rows}


def _nodes(node: Mapping[str, Any], limit: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield what reads a table in PostgreSQL's tree, and its name for a scan in MariaDB's words.

    ``limit``: how many rows are taken of it at the most, if that is known.
    """
    kind = node["Node Type"]
    if kind in ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"):
        whole = kind.startswith("Index") and "Index Cond" not in node
        rows = node["Plan Rows"] if limit is None else min(limit, node["Plan Rows"])
        name = {"Seq Scan": "ALL"}.get(kind, "index" if whole else "ref")
        key = node.get("Index Name")
        yield {"table": node["Relation Name"], "type": name, "key": key, "rows": rows}
    below = node["Plan Rows"] if kind == "Limit" else limit
    below = None if kind in ("Sort", "Aggregate", "Hash", "Hash Join") else below
    for one in node.get("Plans", ()):
        yield from _nodes(one, below)


def _speaker(frame: FrameType | None) -> tuple[str, int]:
    """Return the innermost line of the package that is on the stack."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE) and path != RUNS:
            return str(path.relative_to(PACKAGE)), frame.f_lineno
        frame = frame.f_back
    return "", 0


def places() -> dict[str, range]:
    """Return every place in the modules of the stages that asks the database, with its lines."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE))
        tree = ast.parse(path.read_text())
        if module.startswith(NOT_STAGES) or not (module in MORE or _knows_rows(tree)):
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _asks(call.func):
                lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
                found[f"{module}:{call.lineno}"] = lines
    return found


def _knows_rows(tree: ast.Module) -> bool:
    """Whether a module has anything to do with the large tables."""
    imported = {
        name.name
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom) and one.module == "kernel.db.tables.orders"
        for name in one.names
    }
    defined = {one.name for one in tree.body if isinstance(one, ast.ClassDef)}
    return bool(NAMES & (imported | defined))


def _asks(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    asked = function.value.id if isinstance(function.value, ast.Name) else ""
    if asked == "session" and function.attr in {"get", "get_one"}:
        return True
    return asked != "cursor" and function.attr in ASKING


def silent(said: list[Said]) -> list[str]:
    """Return the places that have not said anything."""
    heard = {(one.module, one.line) for one in said}
    return [
        place
        for place, lines in places().items()
        if not any((place.partition(":")[0], line) in heard for line in lines)
    ]


def complaints(said: Said) -> list[str]:
    """Return what is wrong with a statement's plan: large tables that are read from end to end."""
    return [
        f"{said.module}:{said.line}: {row['table']} by {row['type']} of {row['key']},"
        f" {row['rows']} rows: {said.statement}"
        for row in said.plan
        if _is_large(row["table"], said.statement) and _is_scan(row)
    ]


def _is_large(table: str | None, statement: str) -> bool:
    """Whether a name in a plan is that of a large table, or of an alias of one."""
    names = {table, *(large for large in LARGE if f"{large} AS {table}" in statement)}
    return bool(names & set(LARGE))


def _is_scan(row: Mapping[str, Any]) -> bool:
    if row["rows"] is None:  # an INSERT reads nothing
        return False
    return row["type"] == "ALL" or (row["type"] == "index" and int(row["rows"]) > FEW)
