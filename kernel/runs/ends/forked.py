"""A handler that forks: its child ends where the handler's own code ends.

The child has the parent's connections and the parent's place in kernel's code. Came it back there,
it would roll back what the parent writes, and run orders beside it.
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

T = TypeVar("T")


def in_this_process(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises; in a child that it has forked, end."""
    parent = os.getpid()
    try:
        returned = call()
    except BaseException as error:
        if os.getpid() != parent:
            _end(error)
        raise
    if os.getpid() != parent:
        _end(None)
    return returned


def _end(error: BaseException | None) -> NoReturn:
    """End as the interpreter would, and leave alone all that is the parent's."""
    code: object = 0
    if isinstance(error, SystemExit):
        code = error.code or 0
    elif error is not None:
        code = "".join(traceback.format_exception(error))
    with suppress(Exception):
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else 1)
