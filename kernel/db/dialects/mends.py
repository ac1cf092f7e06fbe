"""What a database's refusal means for the person who wrote KERNEL_DATABASE_URL, and what to type.

A number or state that is not listed is told in the server's own words, with the setting to look at.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import URL

SETTING = "KERNEL_DATABASE_URL"
# What SQLAlchemy and drivers raise for an option that they do not know, or cannot read.
MISTAKES = (TypeError, ValueError, AttributeError)
_LOGIN = (
    f"{{host}} refuses user {{user}} or the password: correct them in {SETTING} (in a password @ "
    "is written as %40, : as %3A, / as %2F)"
)
_NO_DATABASE = (
    f"{{host}} has no database {{database}}: make it with {{create}}, or correct {SETTING}"
)
_RIGHTS = (
    "the user {user} may not do that ({said}): give it the rights that deploy/databases lists, or "
    f"name another user in {SETTING}"
)
_FULL = "{host} has no connection left ({said}): raise its max_connections, or run fewer processes"
_AWAY = f"no database answers at {{host}} ({{said}}): start it, or correct {SETTING}"
_STATEMENTS = (
    "{host} writes a binary log of statements, and takes none of a transaction that is READ "
    "COMMITTED: SET GLOBAL binlog_format = 'ROW', and in my.cnf binlog_format = ROW"
)
_STRANGER = (
    f"{{host}} lets no user in from this machine ({{said}}): allow it there, or correct {SETTING}"
)
# By MariaDB's error number, or PostgreSQL's SQLSTATE.
MENDS: Mapping[int | str, str] = {
    **dict.fromkeys((1045, 1698, 1862, 3118, "28P01", "28000"), _LOGIN),
    **dict.fromkeys((1049, "3D000"), _NO_DATABASE),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370, 1410, "42501"), _RIGHTS),
    **dict.fromkeys((1040, 1203, 1226, "53300"), _FULL),
    **dict.fromkeys((1129, 1130), _STRANGER),
    1665: _STATEMENTS,
    **dict.fromkeys((2002, 2003, 2005), _AWAY),
}
_OTHERWISE = f"the database at {{host}} does not answer: {{said}}; look at {SETTING}"
_IN_WORDS = "database: {said}"


def explain(error: BaseException, url: URL | None = None) -> str:
    """Say in one line what the driver's ``error`` means, and what to type; never a password.

    ``url``: where it was set; without it, of an error in the middle of a command, words that need
    the URL are left out.
    """
    # PyMySQL's errors have a SQLSTATE, too: it is the same for many numbers.
    first = error.args[0] if error.args else None
    known = MENDS.get(first if isinstance(first, int) else getattr(error, "sqlstate", None) or "")
    said = " ".join(_words(error).split())
    if url is None:
        return (_RIGHTS if known == _RIGHTS else _IN_WORDS).format(
            user="of the database", said=said
        )
    options = " CHARACTER SET utf8mb4" if "postgresql" not in url.drivername else ""
    is_file = url.drivername.startswith("sqlite")
    host = str(url.database) if is_file else url.host or "localhost"
    facts = {
        "host": host if url.port is None else f"{host}:{url.port}",
        "user": url.username or "(none)",
        "database": url.database,
        "create": f'"CREATE DATABASE {url.database}{options}"',
        "said": said,
    }
    return (known or _OTHERWISE).format(**facts)


def explain_options(names: Iterable[str], take: Callable[[str], Any]) -> str | None:
    """Say which options of the URL cannot be used, never their values; None: each of them can.

    ``take`` is given each of ``names`` alone, and raises one of `MISTAKES` where it cannot.
    """
    wrong = []
    for name in names:
        try:
            take(name)
        except MISTAKES:
            wrong.append(name)
    if not wrong:
        return None
    return (
        f"{SETTING}: the driver does not know the option {', '.join(wrong)}, or cannot read its "
        "value: correct it, or leave it out"
    )


def _words(error: BaseException) -> str:
    """Return the driver's sentence, without its number."""
    if len(error.args) > 1 and isinstance(error.args[0], int):
        return str(error.args[1])
    return str(error)
