"""The command line as a person uses it, in this process: fast, and easy to look into."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kernel.builtin import handlers
from kernel.cli.main import main
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.sealing import SECRETS_KEY
from tests.support.waiting import wait_until

# Nobody listens there.
NOBODY = "redis://127.0.0.1:1/1"
# As the pages name the service.
HOSTS: dict[str, Any] = {"hosts": ["kernel.example", "kernel.example.net"]}


class Terminal:
    """Runs commands with these settings (by field name), and nobody to take hints."""

    def __init__(self, database_url: str) -> None:
        self.settings = {"database_url": database_url, "broker_url": NOBODY, "result_backend": ""}
        self.settings |= {"secrets_key": SECRETS_KEY}

    @cached_property
    def kernel(self) -> Kernel:
        """A kernel on the same database, as it is set at the first use."""
        return Kernel(load(**HOSTS | self.settings), handlers, FakeTransport())

    def run(
        self,
        *command: str,
        exit_code: int | None = 0,
        stdin: str | bytes | None = None,
        charset: str = "utf-8",
    ) -> Result:
        """Run a command; AssertionError when its exit code is not ``exit_code``; None is any."""
        env = {f"KERNEL_{name.upper()}": value for name, value in self.settings.items()}
        done = CliRunner(charset=charset).invoke(main, command, input=stdin, env=env)
        assert exit_code in (done.exit_code, None), f"{done.output}\n{done.exception!r}"
        return done

    def json(self, *command: str, **options: Any) -> Any:
        """Run a command with --json and return what it printed."""
        return json.loads(self.run(*command, "--json", **options).stdout)

    def close(self) -> None:
        """Close the kernel, if there is one."""
        if "kernel" in self.__dict__:
            self.kernel.close()


@contextmanager
def interrupting(condition: Callable[[], object]) -> Iterator[None]:
    """Press Ctrl-C once the condition is true, while a command runs in the block.

    Heard also where the tests run in the background, which ignores it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press() -> None:
        wait_until(condition)
        os.kill(os.getpid(), signal.SIGINT)

    hand = threading.Thread(target=press)
    hand.start()
    try:
        yield
    finally:
        hand.join()
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def empty_terminal(sqlite_url: str) -> Iterator[Terminal]:
    """The command line, on a database that does not exist yet."""
    with closing(Terminal(sqlite_url)) as terminal:
        yield terminal


@pytest.fixture
def terminal(empty_terminal: Terminal) -> Terminal:
    """The command line, on a migrated database."""
    migrate.upgrade(empty_terminal.settings["database_url"])
    return empty_terminal
