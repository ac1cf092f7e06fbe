"""What every transaction needs: the number of rows it changed, and another try."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError

from kernel.db.errors import DATABASE_ERRORS, is_passing
from kernel.errors import Conflict, Unavailable

TRIES = 4
# A caller that has waited this long is told to come back: a ticketing system waits a few seconds.
RETRY_SECONDS = 1.0
T = TypeVar("T")


def rowcount(result: Any) -> int:
    """Return how many rows a conditional statement matched: the answer to "was I the one?"."""
    found: int = result.rowcount
    return found


@contextmanager
def unless_taken(said: str) -> Iterator[None]:
    """Insert a row of a name that was free: Conflict, with these words, if a rival was first.

    The transaction is over then: let the error pass.
    """
    try:
        yield
    except IntegrityError:
        raise Conflict(said) from None


def retrying(work: Callable[[], T]) -> T:
    """Run a short transaction again when the database dropped it (deadlock, lock, lost link).

    Raises Unavailable after a few tries, or a second. ``work`` opens and commits its own
    transaction, and is harmless when done twice.
    """
    deadline = time.monotonic() + RETRY_SECONDS
    for attempt in range(TRIES):
        try:
            return work()
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            last = error
        if time.monotonic() > deadline:
            break
        time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - spreads rivals
    raise Unavailable(retry_after=2) from last
