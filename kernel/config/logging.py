"""One line per event on stderr: JSON for machines, plain text on a terminal.

Ids travel as ``extra={"order_id": ...}`` and become members of the JSON object. What is bound to
the thread, such as the order whose handler it runs, stands in every line logged meanwhile.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default={})  # noqa: B039 - never changed


def bound() -> Mapping[str, Any]:
    """Return the ids that this thread's log lines carry now."""
    return _bound.get()


def rebind(ids: Mapping[str, Any]) -> None:
    """Have this thread's log lines carry exactly these ids; for what has no block to do it in."""
    _bound.set(ids)


@contextmanager
def binding(**ids: Any) -> Iterator[None]:
    """Have the log lines of this thread carry ``ids``, too, within the block. None binds nothing.

    A thread that a handler starts is not this one.
    """
    before = bound()
    rebind({**before, **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        rebind(before)


class BoundIds(logging.Filter):
    """Adds the bound ids to each record; what a line says itself wins."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        for name, value in bound().items():
            if name not in record.__dict__:
                record.__dict__[name] = value
        return True


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; newlines in texts cannot forge a second line."""

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
    """A record for a terminal: time, level, message, ids; nothing in it can move the cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of text, and a traceback below it."""
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
    """Escape what a terminal would obey or hide: controls, line ends, direction overrides."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was bound to the record with ``extra=``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure(level: int | str = "INFO") -> None:
    """Send everything at ``level`` and above to stderr; replaces what was configured before."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    handler.addFilter(BoundIds())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Celery and kombu say per message what the rows say better.
    for noisy in ("celery.worker.strategy", "celery.app.trace", "kombu"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    # Its warnings quote what a receiver sent.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
