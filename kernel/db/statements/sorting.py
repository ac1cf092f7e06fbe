"""What a handler's statement may do to its transaction, told by its words.

`sort_statement` reads tokens, never the raw text: comments are skipped, and what MariaDB and MySQL
run although it looks like a comment (``/*! ... */``, ``/*M! ... */``) counts as words. PostgreSQL
reads its texts in another way: ``nests_comments``. The answer
is only a first look. A word that is not known here is `Kind.UNKNOWN`, and `kernel.db.guard` asks
the server itself whether the transaction is still there. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
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
    has something to lose once it has succeeded. ``calls``: it reads, and calls what may be a stored
    function, which may write. ``lasts``: it may change the session of its connection beyond the
    transaction; ``fades``: until that ends, which is beyond the order where others share it.
    """

    kind: Kind
    word: str
    locks: bool = False
    calls: bool = False
    lasts: bool = False
    fades: bool = False


READS = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE"})
# Words that end the transaction, with any words after them. What is missing here is UNKNOWN,
# not PLAIN.
ENDERS = frozenset(
    {"ALTER", "ANALYZE", "BACKUP", "BEGIN", "CACHE", "CHANGE", "CHECK", "COMMIT", "CREATE", "DROP"}
    | {"END", "FLUSH", "GRANT", "INSTALL", "LOCK", "OPTIMIZE", "REINDEX", "RENAME", "REPAIR"}
    | {"RESET", "REVOKE", "ROLLBACK", "SHUTDOWN", "START", "STOP", "TRUNCATE", "UNINSTALL"}
    | {"ABORT", "UNLOCK", "VACUUM", "XA"}
)
# Of these, the ones that make or drop what lives in the session alone end nothing.
OF_THE_SESSION = ("TEMPORARY", "TEMP")
INTO_TEMPORARY = {("INTO", word) for word in OF_THE_SESSION}
# How a SELECT says that it locks the rows it reads.
LOCKING = {("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN")}
# Variables whose assignment ends a transaction, or makes every statement one of its own.
ENDING_VARIABLES = frozenset({"AUTOCOMMIT", "PASSWORD", "ROLE", "DEFAULT"})

# Statements that are not sorted further, and change no session: SHOW and PRAGMA table_info are what
# SQLAlchemy's ``inspect`` says.
BRIEF = frozenset(["MERGE", "SHOW", "DESCRIBE", "DESC", "NOTIFY", "COPY", "FETCH", "MOVE", "CLOSE"])
OF_THE_TRANSACTION = {("SET", word) for word in ("LOCAL", "CONSTRAINTS", "TRANSACTION")}
# Where set_config's last argument may be FALSE, though the statement says TRUE.
ELSEWHERE = {"FROM", "WHERE", "FALSE"}
RUN_AND_EXPLAINED = {"ANALYZE", "ANALYSE"}
ASKING_PRAGMAS = {"TABLE_INFO", "TABLE_XINFO", "TABLE_LIST", "INDEX_LIST", "INDEX_INFO"}
ASKING_PRAGMAS |= {"INDEX_XINFO", "FOREIGN_KEY_LIST", "DATABASE_LIST", "COMPILE_OPTIONS"}
# How functions begin that lock or set something for as long as the connection is open.
LASTING_CALLS = ("GET_LOCK", "PG_ADVISORY_LOCK", "PG_TRY_ADVISORY_LOCK", "SET_CONFIG")

# What stands before a parenthesis and writes nothing: words of the grammar, and the functions of
# the servers that are used most. Any other name may be a stored function.
_HARMLESS = (
    "( ALL AND ANY AS BETWEEN BY CASE DISTINCT ELSE EXCEPT EXISTS FROM GROUP HAVING IN INTERSECT",
    "INTERVAL IS JOIN LIKE LIMIT NOT ON OR ORDER OVER PARTITION SELECT SOME THEN UNION USING",
    "VALUES WHEN WHERE",
    "ABS ASCII AVG BIT_AND BIT_LENGTH BIT_OR CAST CEIL CEILING CHAR CHAR_LENGTH CHARACTER_LENGTH",
    "COALESCE COLLATION CONCAT CONCAT_WS CONNECTION_ID CONVERT COUNT CRC32 CURDATE CURRENT_DATE",
    "CURRENT_TIMESTAMP CURRENT_USER CURTIME DATABASE DATE DATE_ADD DATE_FORMAT DATE_SUB DATEDIFF",
    "DAY DAYOFWEEK DENSE_RANK ELT EXTRACT FIELD FIND_IN_SET FIRST_VALUE FLOOR FORMAT",
    "FROM_UNIXTIME GREATEST GROUP_CONCAT HEX HOUR IF IFNULL INSTR ISNULL JSON_ARRAY JSON_ARRAYAGG",
    "JSON_CONTAINS JSON_EXTRACT JSON_LENGTH JSON_OBJECT JSON_OBJECTAGG JSON_UNQUOTE JSON_VALID",
    "JSON_VALUE LAG LAST_INSERT_ID LAST_VALUE LCASE LEAD LEAST LEFT LENGTH LOCATE LOWER LPAD",
    "LTRIM MAX MD5 MICROSECOND MID MIN MINUTE MOD MONTH NOW NTILE NULLIF NVL POSITION POW POWER",
    "RAND RANK REPEAT REPLACE REVERSE RIGHT ROUND ROW_NUMBER RPAD RTRIM SCHEMA SECOND SHA1 SHA2",
    "SIGN SLEEP SQRT STD STDDEV STR_TO_DATE STRFTIME SUBSTR SUBSTRING SUBSTRING_INDEX SUM SYSDATE",
    "TIME TIMEDIFF TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TRIM TRUNCATE UCASE UNHEX UNIX_TIMESTAMP",
    "UPPER USER UUID VARIANCE VERSION WEEK YEAR",
)
# Characters. A longer statement holds values of a caller's, and hardly comes again.
REMEMBERED = 8192
HARMLESS_CALLS = frozenset(name for line in _HARMLESS for name in line.split())


def sort_statement(sql: str, *, nests_comments: bool = False) -> Sorted:
    """Return what ``sql`` can do to its transaction. An empty text is PLAIN: nothing is run.

    ``nests_comments``: a comment may hold others and no words that are run, a backslash is only a
    backslash unless an E stands before the text, and ``$tag$`` begins a text.
    """
    sort = _remembered if len(sql) <= REMEMBERED else _sort
    return sort(sql, nests_comments)


def _sort(sql: str, nests_comments: bool) -> Sorted:
    spelled = tuple(_words(sql, nests_comments))
    words = tuple(word.lstrip("@") for word in spelled)
    first = next((word for word in words if word != "("), "")
    kind = _kind(first, words)
    fades = nests_comments and _fades(words)
    lasts = kind is Kind.UNKNOWN and not (fades or _changes_nothing(first, words))
    lasts = lasts or _may_last(words if nests_comments else spelled, fades)
    sort = partial(Sorted, kind, first, lasts=lasts, fades=fades)
    if kind is not Kind.PLAIN:
        return sort(locks=kind is Kind.UNKNOWN)
    if first in WRITES or _locks_rows(first, words):
        return sort(locks=True)
    return sort(calls=_may_call(words))


_remembered = lru_cache(maxsize=1024)(_sort)


def _kind(first: str, words: tuple[str, ...]) -> Kind:
    if ";" in words[:-1]:  # two statements in one text, or a block of them
        return Kind.ENDS
    if first in READS or first in WRITES or not first:
        return Kind.PLAIN
    if first in ("SAVEPOINT", "RELEASE") or (first == "ROLLBACK" and "TO" in words):
        return Kind.SAVEPOINT
    if words[:2] == ("PREPARE", "TRANSACTION"):
        return Kind.ENDS
    ends = first in ENDERS and not _is_of_the_session(words)
    if ends or (first == "SET" and ENDING_VARIABLES & set(words)):
        return Kind.ENDS
    return Kind.UNKNOWN


def _locks_rows(first: str, words: tuple[str, ...]) -> bool:
    """Tell a locking read, and a WITH that writes."""
    writes = first == "WITH" and bool(WRITES & set(words))
    return writes or any(pair in LOCKING for pair in pairwise(words))


def _may_call(words: tuple[str, ...]) -> bool:
    """Tell whether a name that is quoted, qualified or unknown stands before a parenthesis."""
    return any(
        opening == "(" and (name not in HARMLESS_CALLS or before == ".")
        for before, name, opening in zip(("", *words), words, words[1:], strict=False)
    )


def _changes_nothing(first: str, words: tuple[str, ...]) -> bool:
    """Tell what is not sorted further, and leaves the session as it is."""
    if first == "PRAGMA":
        return not ASKING_PRAGMAS.isdisjoint(words)
    if first == "EXPLAIN":  # unless it says the statement, to tell how long that took
        return RUN_AND_EXPLAINED.isdisjoint(words)
    return first in BRIEF


def _fades(words: tuple[str, ...]) -> bool:
    """Tell what PostgreSQL takes back at the end of the transaction.

    SET LOCAL and its like, and ``set_config`` where nothing but its own last argument says TRUE. To
    MariaDB and MySQL SET LOCAL is SET SESSION.
    """
    calls = words.count("SET_CONFIG")
    is_last = words[-1:] == ("TRUE",) and ELSEWHERE.isdisjoint(words)
    is_call = is_last and 0 < calls == words.count("TRUE")
    return is_call or words[:2] in OF_THE_TRANSACTION


def _may_last(spelled: tuple[str, ...], fades: bool) -> bool:
    """Tell a call that lasts, PostgreSQL's SELECT INTO TEMP, and a variable of a person's own.

    Any SELECT may set one.
    """
    is_made = any(pair in INTO_TEMPORARY for pair in pairwise(spelled))
    owned = any(word[:1] == "@" and word[1:2] not in ("", "@") for word in spelled)
    calls = any(
        word.startswith(LASTING_CALLS) and not (fades and word == "SET_CONFIG") for word in spelled
    )
    return is_made or owned or calls


def _is_of_the_session(words: tuple[str, ...]) -> bool:
    """Tell CREATE [OR REPLACE] TEMPORARY and DROP TEMPORARY."""
    head = [word for word in words[:4] if word not in ("OR", "REPLACE")]
    return head[:1] in (["CREATE"], ["DROP"]) and head[1:2] in ([one] for one in OF_THE_SESSION)


def _words(sql: str, nests: bool) -> Iterator[str]:
    """Yield the words of a text in capitals, its dots, opening parentheses and semicolons.

    The name of a variable has its ``@`` or ``@@`` in front.

    Quoted names and strings are skipped as a whole: no word in them is run. A name in backquotes
    yields one backquote.
    """
    at, end = 0, len(sql)
    while at < end:
        char = sql[at]
        if skipped := _nested_end(sql, at) if nests else _comment_end(sql, at):
            at = skipped
        elif char in "'\"`":
            at = _quote_end(sql, at, escapes=not nests or sql[at - 1 : at] in ("e", "E"))
            if char == "`":
                yield char
        elif nests and char == "$" and (skipped := _dollar_end(sql, at)):
            at = skipped
        elif char.isalpha() or char in "_@$":
            start = at
            while at < end and (sql[at].isalnum() or sql[at] in "_@$"):
                at += 1
            yield sql[start:at].upper()
        else:
            at += 1
            # Not the point of a number: what stands between two names.
            if char in "(;" or (char == "." and not sql[at : at + 1].isdigit()):
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


def _nested_end(sql: str, at: int) -> int:
    """Return where the comment that begins at ``at`` ends, with those in it; 0 if none does."""
    if sql.startswith("--", at):
        return _comment_end(sql, at)
    if not sql.startswith("/*", at):
        return 0
    depth = 0
    while at < len(sql):
        if sql.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif sql.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if depth == 0:
                return at
        else:
            at += 1
    return at


def _dollar_end(sql: str, at: int) -> int:
    """Return where the text between two times ``$tag$`` ends; 0 if none begins at ``at``."""
    opened = sql.find("$", at + 1) + 1
    tag = sql[at:opened]
    name = tag[1:-1]
    if not opened or (name and not name.replace("_", "a").isalnum()) or name[:1].isdigit():
        return 0
    closing = sql.find(tag, opened)
    return len(sql) if closing < 0 else closing + len(tag)


def _quote_end(sql: str, at: int, escapes: bool) -> int:
    """Return where the quoted text that begins at ``at`` ends.

    With ``escapes`` a backslash hides the next character; where the server takes it for itself,
    the text ends later for us than for the server, and its rest is taken for quoted:
    `sort_statement` then misses words, which the server's own answer makes up for.
    """
    quote, at = sql[at], at + 1
    while at < len(sql):
        if sql[at] == "\\" and escapes and quote != "`":
            at += 2
        elif sql[at] == quote:
            return at + 1
        else:
            at += 1
    return at
