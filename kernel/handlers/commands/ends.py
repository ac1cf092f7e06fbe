"""What the end of a program means for its order."""

import json
import signal
from typing import Any

from kernel.errors import Reject, Retry
from kernel.handlers.commands.lines import Heard
from kernel.handlers.commands.process import ERR, OUT, Ended
from kernel.handlers.commands.tables import Command, Exit
from kernel.handlers.run import Partial

# What is left for the end of stderr in a message of 1,000 characters.
MAX_SAID = 700
MAX_RESULT_BYTES = 262_144

NOT_STARTED = "command_not_started"
FAILED = "command_failed"
KILLED = "command_killed"
TOO_MUCH = "command_output"
NO_RESULT = "command_result"
INTERRUPTED = "command_interrupted"


def outcome(command: Command, ended: Ended, heard: Heard) -> dict[str, Any] | Partial:
    """Return the result of a program that ended well, or with a warning.

    Raises Reject or Retry for every other end.
    """
    if ended.failed:
        raise Reject(NOT_STARTED, f"{command.program} was not started: {ended.failed}")
    if ended.signal is not None:
        raise Reject(KILLED, _message(command, f"ended by {_signal(ended.signal)}", heard))
    if ended.code:
        return _mapped(command, ended.code, heard)
    return _result(command, heard)


def too_much(command: Command) -> Reject:
    """Return how an order ends whose program says more than it may."""
    return Reject(TOO_MUCH, f"it said more than {command.output_bytes} bytes, and was killed")


def _mapped(command: Command, code: int, heard: Heard) -> Partial:
    known = command.exit_codes.get(str(code), Exit())
    if known.retry is not None:
        reason = _message(command, known.message or f"exit code {code}", heard)
        raise Retry(known.retry, max_tries=known.tries, reason=reason)
    if known.warning is not None:
        return Partial(_result(command, heard), _message(command, known.warning, heard))
    said = _message(command, known.message or f"exit code {code}", heard)
    raise Reject(known.code or FAILED, said)


def _result(command: Command, heard: Heard) -> dict[str, Any]:
    wrong = heard.wrong or _flaw(heard.result)
    if wrong:
        raise Reject(NO_RESULT, f"it ended well, and {wrong}")
    if heard.result is not None:
        return dict(heard.result)
    return {} if command.quiet else {"output": heard.tail(OUT)}


def _flaw(result: Any) -> str:
    """Say what is wrong with a result that no order can have; "" for nothing."""
    try:
        length = len(json.dumps(result, ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        return f"its ::result cannot be stored: {error}"
    return f"its ::result has {length} bytes, too many" if length > MAX_RESULT_BYTES else ""


def _message(command: Command, said: str, heard: Heard) -> str:
    """Return what is said of an end, with the last lines of stderr."""
    tail = heard.tail(ERR)
    if command.quiet or not tail:
        return said
    if len(tail) > MAX_SAID:  # from a line's beginning, if there is one
        end = tail[-MAX_SAID:]
        tail = f"... {end.partition(chr(10))[2] or end}"
    return f"{said}: {tail}"


def _signal(number: int) -> str:
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
