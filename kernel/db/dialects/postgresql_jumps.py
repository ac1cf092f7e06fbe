"""How PostgreSQL is told a skip scan: its planner does not jump through an index by itself."""

from typing import Any

from sqlalchemy import select, tuple_

from kernel.db.statements.skip_scan import SkipScan


def jump(scan: SkipScan, compiler: Any, **given: Any) -> str:
    """Return SQL that jumps from key to key by a recursive query."""
    index, ends, where = scan.index, scan.ends, scan.whereclause
    conditions = [] if where is None else [where]
    first = select(*index).where(*conditions).order_by(*index).limit(1)
    keys = first.cte("keys", recursive=True)
    known = [keys.c[column.key] for column in index]
    beyond = tuple_(*index) > tuple_(*known)
    following = select(*index).where(*conditions, beyond).order_by(*index).limit(1)
    after = following.correlate(keys).lateral("following")
    keys = keys.union_all(
        select(*(after.c[column.key] for column in index)).select_from(keys, after)
    )
    known = [keys.c[column.key] for column in index]
    same = [column == value for column, value in zip(index, known, strict=True)]
    found = [_once(end, same, keys) for end in ends]
    # The keys come in the index's order, and no more are looked for than the limit takes.
    asked = select(*known, *found).limit(scan.most)
    return str(compiler.process(asked, **given))


def _once(end: Any, same: list[Any], keys: Any) -> Any:
    """Ask for ``min`` or ``max`` of one key; the statement's time is the same for all of them."""
    asked = select(end)
    if not asked.get_final_froms():
        return end
    return asked.where(*same).correlate(keys).scalar_subquery().label(end.name)
