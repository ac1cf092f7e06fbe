"""What psycopg leaves to us: statements outside of a transaction, and an end of waiting."""

import time
from collections.abc import Generator
from functools import partial
from typing import Any


def say_alone(driver: Any, statement: str) -> Any:
    """Run a statement as a transaction of its own; return its first row, if it has any."""
    before = driver.autocommit
    driver.autocommit = True
    try:
        cursor = driver.execute(statement)
        return None if cursor.description is None else cursor.fetchone()
    finally:
        if not driver.closed:
            driver.autocommit = before


def limit_waiting(driver: Any, seconds: float | None) -> None:
    """Have a connection wait for ``seconds`` at the most for each of the server's answers.

    A server that is frozen keeps its sockets open; libpq would wait for it for ever. The connection
    is closed then, and the driver's OperationalError raised. None: it waits for ever.
    """
    driver.kernel_patience = seconds
    driver.wait = partial(_wait, driver, driver.wait)


def change_limit(driver: Any, seconds: float | None) -> None:
    """Change what `limit_waiting` has set, from the next statement on."""
    driver.kernel_patience = seconds


def _wait(driver: Any, wait: Any, asking: Any, *given: Any, **more: Any) -> Any:
    """Wait for an answer as the driver does, but not for longer than is allowed."""
    seconds = driver.kernel_patience
    asked = asking if seconds is None else _limited(driver, asking, seconds)
    return wait(asked, *given, **more)


def _limited(driver: Any, asking: Any, seconds: float) -> Generator[Any, Any, Any]:
    """Pass on what the driver waits for; close the connection when the server is silent."""
    deadline = time.monotonic() + seconds
    try:
        wanted = next(asking)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                driver.close()
                raise driver.OperationalError(f"the server was silent for {seconds:g} s")
            wanted = asking.send(ready)
    except StopIteration as ended:
        return ended.value
