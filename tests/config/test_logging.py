"""Log lines: one per event, ids bound, nothing in a text can forge a line or move a cursor."""

import json
import logging
import sys
from typing import Any

import pytest

from kernel.config.logging import JsonFormatter, TextFormatter, configure

HOSTILE = "a\nb\r\x1b[2J\u2028\u202e\x85c"


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("kernel.test")
    return logger.makeRecord("kernel.test", logging.INFO, "", 0, message, args, None, extra=extra)


def failure() -> logging.LogRecord:
    found = record("failed")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        found.exc_info = sys.exc_info()
    return found


def test_json_line_holds_message_and_ids_when_they_are_bound() -> None:
    line = json.loads(JsonFormatter().format(record("took %s", 3, order_id="x")))
    assert (line["message"], line["order_id"], line["level"]) == ("took 3", "x", "INFO")


@pytest.mark.parametrize("made", [record(HOSTILE), record("m", order_id=HOSTILE), failure()])
def test_json_stays_one_line_of_ascii_when_a_text_is_hostile(made: logging.LogRecord) -> None:
    line = JsonFormatter().format(made)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)


def test_text_line_is_readable_when_it_is_chinese() -> None:
    assert (
        TextFormatter().format(record("成功 %s", "桥", order_id="x")).endswith("成功 桥 order_id=x")
    )


@pytest.mark.parametrize("made", [record(HOSTILE), record("m", order_id=HOSTILE)])
def test_text_stays_one_printable_line_when_a_text_is_hostile(made: logging.LogRecord) -> None:
    assert TextFormatter().format(made).isprintable()


def test_text_shows_the_traceback_without_controls_when_there_is_one() -> None:
    lines = TextFormatter().format(failure()).split("\n")
    assert lines[1].startswith("Traceback")
    assert all(line.isprintable() for line in lines)


def test_logging_goes_to_stderr_as_json_when_that_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []
    try:
        configure("WARNING")
        logging.getLogger("kernel.test").info("not shown")
        logging.getLogger("kernel.test").warning("shown", extra={"order_id": "x"})
    finally:
        root.handlers, _ = before, root.setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "shown"
