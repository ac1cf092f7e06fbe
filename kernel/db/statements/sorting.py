"""What a handler's statement may do to its transaction, told by its words.

`sort_statement` reads tokens, never the raw text: comments are skipped, and what MariaDB and MySQL
run although it looks like a comment (``/*! ... */``, ``/*M! ... */``) counts as words. The answer
is only a first look. A word that is not known here is `Kind.UNKNOWN`, and `kernel.db.guard` asks
the server itself whether the transaction is still there. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise


class Kind(Enum):
    """What a statement can do to the transaction it is run in."""

    # Reads or writes rows; the server ends the transaction by an error at the most.
    PLAIN = "plain"
    # A savepoint is set, released or returned to.
    SAVEPOINT = "savepoint"
    # Ends the transaction, openly or implicitly; refused before it is sent.
    ENDS = "ends"
    # Everything else: a procedure, a variable, a statement made at run time, an unknown word.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sorted:
    """The kind of a statement and the word that decided it, in capitals.

    ``locks``: it writes rows, or reads them FOR UPDATE or IN SHARE MODE, so that the transaction
    has something to lose once it has succeeded.
    """

    kind: Kind
    word: str
    locks: bool = False


READS = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE"})
# Words that end the transaction, with any words after them. What is missing here is UNKNOWN,
# not PLAIN.
ENDERS = frozenset(
    {"ALTER", "ANALYZE", "BACKUP", "BEGIN", "CACHE", "CHANGE", "CHECK", "COMMIT", "CREATE", "DROP"}
    | {"END", "FLUSH", "GRANT", "INSTALL", "LOCK", "OPTIMIZE", "REINDEX", "RENAME", "REPAIR"}
    | {"RESET", "REVOKE", "ROLLBACK", "SHUTDOWN", "START", "STOP", "TRUNCATE", "UNINSTALL"}
    | {"UNLOCK", "VACUUM", "XA"}
)
# Of these, the ones that make or drop what lives in the session alone end nothing.
OF_THE_SESSION = ("TEMPORARY", "TEMP")
# Variables whose assignment ends a transaction, or makes every statement one of its own.
# How a SELECT says that it locks the rows it reads.
LOCKING = {("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN")}
ENDING_VARIABLES = frozenset({"AUTOCOMMIT", "PASSWORD", "ROLE", "DEFAULT"})


@lru_cache(maxsize=1024)
def sort_statement(sql: str) -> Sorted:
    """Return what ``sql`` can do to its transaction. An empty text is PLAIN: nothing is run."""
    words = tuple(_words(sql))
    first = next((word for word in words if word != "("), "")
    kind = _kind(first, words)
    if kind is not Kind.PLAIN:
        return Sorted(kind, first, locks=kind is Kind.UNKNOWN)
    return Sorted(kind, first, locks=first in WRITES or _locks_rows(first, words))


def _kind(first: str, words: tuple[str, ...]) -> Kind:
    if ";" in words[:-1]:  # two statements in one text, or a block of them
        return Kind.ENDS
    if first in READS or first in WRITES or not first:
        return Kind.PLAIN
    if first in ("SAVEPOINT", "RELEASE") or (first == "ROLLBACK" and "TO" in words):
        return Kind.SAVEPOINT
    ends = first in ENDERS and not _is_of_the_session(words)
    if ends or (first == "SET" and ENDING_VARIABLES & set(words)):
        return Kind.ENDS
    return Kind.UNKNOWN


def _locks_rows(first: str, words: tuple[str, ...]) -> bool:
    """Tell a locking read, and a WITH that writes."""
    writes = first == "WITH" and bool(WRITES & set(words))
    return writes or any(pair in LOCKING for pair in pairwise(words))


def _is_of_the_session(words: tuple[str, ...]) -> bool:
    """Tell CREATE [OR REPLACE] TEMPORARY and DROP TEMPORARY."""
    head = [word for word in words[:4] if word not in ("OR", "REPLACE")]
    return head[:1] in (["CREATE"], ["DROP"]) and head[1:2] in ([one] for one in OF_THE_SESSION)


def _words(sql: str) -> Iterator[str]:
    """Yield the words of a text in capitals, and its parentheses and semicolons.

    Quoted names and strings are skipped as a whole: no word in them is run.
    """
    at, end = 0, len(sql)
    while at < end:
        char = sql[at]
        if skipped := _comment_end(sql, at):
            at = skipped
        elif char in "'\"`":
            at = _quote_end(sql, at)
        elif char.isalpha() or char in "_@$":
            start = at
            while at < end and (sql[at].isalnum() or sql[at] in "_@$"):
                at += 1
            yield sql[start:at].upper().lstrip("@")
        else:
            at += 1
            if char in "(;":
                yield char


def _comment_end(sql: str, at: int) -> int:
    """Return where the comment that begins at ``at`` ends; 0 if none does.

    Of a comment that the server runs, only its opening and its version are skipped.
    """
    if sql[at] == "#" or sql.startswith("--", at):
        line_end = sql.find("\n", at)
        return len(sql) if line_end < 0 else line_end + 1
    for opening in ("/*!", "/*M!"):
        if sql.startswith(opening, at):
            at += len(opening)
            while at < len(sql) and sql[at].isdigit():
                at += 1
            return at
    if sql.startswith("/*", at):
        closing = sql.find("*/", at + 2)
        return len(sql) if closing < 0 else closing + 2
    return 0


def _quote_end(sql: str, at: int) -> int:
    """Return where the quoted text that begins at ``at`` ends.

    A backslash hides the next character; where the server takes it for itself, the text ends
    later for us than for the server, and its rest is taken for quoted: `sort_statement` then
    misses words, which the server's own answer makes up for.
    """
    quote, at = sql[at], at + 1
    while at < len(sql):
        if sql[at] == "\\" and quote != "`":
            at += 2
        elif sql[at] == quote:
            return at + 1
        else:
            at += 1
    return at
