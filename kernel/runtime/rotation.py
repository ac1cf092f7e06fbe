"""Which keys seal the secrets in the database, and how all of them come under the first key.

Works beside a service that runs: a row is changed only while it has the text that was read, so a
secret that a person changes meanwhile is never overwritten. Killed and started again it goes on
where it was, because it looks for rows that are not sealed with the first key.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    String,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
    union_all,
    update,
)

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.config.keyring import MARK, Keyring, key_id
from kernel.db.copying.pages import Progress
from kernel.db.statements.keyset import Key, Walk
from kernel.db.tables.sealed import sealed_columns
from kernel.db.transactions import rowcount
from kernel.errors import ConfigurationError, SecretsLocked
from kernel.runtime.kernel import Kernel

# Rows that are read at once; each is written in a transaction of its own.
PAGE = 200
# At the start a process looks at the newest rows of a table alone.
NEWEST = 200
# A row's key, and what its column has.
Stored = tuple[Key, str | None]


@dataclass(frozen=True, slots=True)
class SealedRows:
    """How many secrets of a column are sealed with a key; ``key`` None: they are in clear."""

    column: str
    key: str | None
    rows: int


def count_sealed(kernel: Kernel, newest: int | None = None) -> list[SealedRows]:
    """Count the secrets of each column by their key.

    ``newest``: of the rows with the highest keys alone, as many; by one query for all columns.
    """
    columns = sealed_columns()
    if newest is None:
        texts = [(str(one), text) for one in columns for _, text in _every(kernel, one)]
    else:
        asked = union_all(*(_newest(one, newest) for one in columns))
        with kernel.read() as connection:
            texts = [(place, text) for place, text in connection.execute(asked)]
    keys = Counter((place, key_id(text)) for place, text in texts if text)
    found = [SealedRows(place, key, rows) for (place, key), rows in keys.items()]
    return sorted(found, key=lambda one: (one.column, one.key or ""))


def check_secrets(kernel: Kernel) -> list[str]:
    """Refuse to work with secrets that no key opens; return warnings about secrets in clear.

    Raises ConfigurationError, which names the key that is missing.
    """
    keyring, found = kernel.keyring, count_sealed(kernel, NEWEST)
    for one in found:
        if one.key is not None and one.key not in keyring.ids:
            raise ConfigurationError(
                f"secrets in {one.column} are sealed with the key {one.key}, and "
                f"{keyring.describe()}: add that key behind the others"
            )
    if keyring.is_empty:
        return [
            "KERNEL_SECRETS_KEY is not set: secrets are in the database in clear. Make a key with "
            "`kernel secrets new-key`"
        ]
    clear = sum(one.rows for one in found if one.key is None)
    said = f"{clear} secrets are in the database in clear: run `kernel secrets rotate`"
    return [said] if clear else []


def rotate(
    kernel: Kernel,
    told: Callable[[str], None],
    *,
    to_clear: bool = False,
    by: By = BY_SYSTEM,
) -> int:
    """Seal every secret with the first key, or store it in clear; return how many were changed.

    ``told`` is called with lines of progress. A run that changed any is one act, written at its
    end: a run that is killed writes none, the one that goes on does. Raises SecretsLocked at its
    end, when it has changed all others, for secrets that no key opens, and ConfigurationError
    without a key to seal with.
    """
    keyring = kernel.keyring
    if keyring.is_empty and not to_clear:
        raise ConfigurationError("there is no key to seal with: set KERNEL_SECRETS_KEY")
    target, changed, locked = Keyring() if to_clear else keyring, 0, {}
    before = _by_key(count_sealed(kernel))
    for column in sealed_columns():
        progress, done = Progress(told, str(column), _total(kernel, column, target)), 0
        for done, (row, stored) in enumerate(_rows(kernel, column, target), 1):
            try:
                fresh = target.seal(keyring.open(stored))
            except SecretsLocked as error:
                locked[str(column), key_id(stored)] = error.message
                continue
            changed += _replace(kernel, column, row, (stored, fresh))
            progress.at(done)
        progress.at(done, last=True)
    kernel.dialect.forget_log(kernel.engine)
    if changed:
        after = {"key": None if to_clear else keyring.ids[0], "changed": changed}
        with kernel.write() as connection:
            by.record(connection, "secrets.rotate", "secrets", before=before, after=after)
    if locked:
        places = ", ".join(sorted({place for place, _ in locked}))
        raise SecretsLocked(f"{places}: {next(iter(locked.values()))}")
    return changed


def _by_key(found: list[SealedRows]) -> dict[str, int]:
    """Return how many secrets there are of each key, as an act tells of them."""
    told: Counter[str] = Counter()
    for one in found:
        told[one.key or "in clear"] += one.rows
    return dict(told)


def _newest(column: Column[Any], newest: int) -> Any:
    """Ask for the texts of the rows with the highest keys, beside their column's name."""
    keys = [key.desc() for key in column.table.primary_key]
    texts = select(column.label("text")).order_by(*keys).limit(newest).subquery()
    return select(literal(str(column), String), cast(texts.c.text, Text))


def _every(kernel: Kernel, column: Column[Any]) -> Iterator[Stored]:
    """Yield the key and the text of every row, by their keys and a page at a time.

    No index has rows by what seals them: all of them are looked at, those without a secret too.
    """
    keys = list(column.table.primary_key)
    walk, last = Walk(column.table, "PRIMARY", keys, up=True), None
    while True:
        with kernel.read() as connection:
            page = walk.along(select(*keys, column), last).limit(PAGE)
            found = [tuple(row) for row in connection.execute(page)]
        yield from ((row[:-1], row[-1]) for row in found)
        if len(found) < PAGE:
            return
        last = found[-1][:-1]


def _rows(kernel: Kernel, column: Column[Any], target: Keyring) -> Iterator[tuple[Key, str]]:
    """Yield the key and the text of each row that is not as the target seals, by their keys."""
    for row, text in _every(kernel, column):
        if text and not _is_of(text, target):
            yield row, text


def _total(kernel: Kernel, column: Column[Any], target: Keyring) -> int | None:
    """Count the rows to be changed; None for orders, which would all have to be read for it."""
    if column.nullable:
        return None
    with kernel.read() as connection:
        return connection.scalar(select(func.count()).where(_is_not_of(column, target)))


def _replace(kernel: Kernel, column: Column[Any], row: Key, texts: tuple[str, str]) -> int:
    """Replace a text by another, if the row still has it; return how many rows were changed."""
    before, after = texts
    mine = [key == value for key, value in zip(column.table.primary_key, row, strict=True)]
    changed = update(column.table).where(*mine, column == before).values({column: after})
    with kernel.write() as connection:
        kernel.dialect.overwrite_deleted(connection)
        return rowcount(connection.execute(changed))


def _is_of(stored: str, target: Keyring) -> bool:
    """Tell whether a text is as ``target`` seals it."""
    if target.is_empty:
        return not stored.startswith(MARK)
    return stored.startswith(f"{MARK}{target.ids[0]}:")


def _is_not_of(column: Column[Any], target: Keyring) -> Any:
    """Return the condition that a text is not as ``target`` seals it; an empty one does not."""
    if target.is_empty:
        return column.startswith(MARK, autoescape=True)
    mark = f"{MARK}{target.ids[0]}:"
    return and_(column.is_not(None), func.substr(column, 1, len(mark)) != mark)
