"""One line per event on stderr: JSON for machines, plain text on a terminal.

A log call passes ids as ``extra={"order_id": ...}``; they become members of the JSON object. Ids
bound to a thread, such as those of the order whose handler it runs, are added to each of its
lines.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# The variable by which `kernel up` tells its programs to leave out what the screen says anyway.
QUIET = "CELERY_LOG_QUIET"
# Above all loggers of this package.
_OURS = "kernel"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default={})  # noqa: B039 - never changed


def bound() -> Mapping[str, Any]:
    """Return the ids that this thread's log lines carry now."""
    return _bound.get()


def rebind(ids: Mapping[str, Any]) -> None:
    """Bind exactly ``ids`` to this thread, until the next call; `binding` does so for a block."""
    _bound.set(ids)


@contextmanager
def binding(**ids: Any) -> Iterator[None]:
    """Add ``ids`` to this thread's log lines within the block; an id that is None is left out.

    Threads started inside the block do not inherit the ids.
    """
    before = bound()
    rebind({**before, **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        rebind(before)


class Audible(logging.Logger):
    """A logger that is not disabled because another's configuration does not name it."""

    @property
    def disabled(self) -> bool:
        """False: levels say what is heard."""
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass


def keep_audible() -> None:
    """Have `logging.config` disable none of our loggers that exist by now.

    By default `dictConfig` and `fileConfig` disable every logger that they are not told of, and a
    file of handlers or an application around us may call them at any time. Loggers of others are
    not touched.
    """
    for name, one in list(logging.Logger.manager.loggerDict.items()):
        if name.partition(".")[0] == _OURS and type(one) is logging.Logger:
            one.__class__ = Audible


class BoundIds(logging.Filter):
    """Adds the bound ids to each record; a record's own ``extra`` wins."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids and let the record pass."""
        for name, value in bound().items():
            if name not in record.__dict__:
                record.__dict__[name] = value
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; a newline in a text cannot forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object on one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= extras(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Formats a record for a terminal: time, level, message, ids. Control characters are
    escaped, so no text can move the cursor.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of text, with its traceback in the lines below."""
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        ids = " ".join(f"{name}={value}" for name, value in extras(record).items())
        text = (
            f"{moment} {record.levelname:<7} {printable(f'{record.getMessage()} {ids}')}".rstrip()
        )
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *map(printable, lines)])
        return text


def printable(text: str) -> str:
    """Escape control characters, line ends and direction overrides: a terminal obeys or hides
    them.
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return the members that ``extra=`` and `BoundIds` added to the record."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure(level: int | str = "INFO") -> None:
    """Log records of ``level`` and above to stderr. Replaces the handlers configured before."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    handler.addFilter(BoundIds())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Celery and kombu log each message; the rows hold the same and more.
    for noisy in ("celery.worker.strategy", "celery.app.trace", "kombu"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    for started in ("celery.apps.worker", "celery.worker.consumer") if QUIET in os.environ else ():
        logging.getLogger(started).setLevel(logging.WARNING)
    # urllib3's warnings quote text that a receiver sent.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
