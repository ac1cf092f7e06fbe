"""kernel as a how-to sets it up, against a simulator: real commands, real sockets, no Celery."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.fixtures import make_kernel, sqlite_url
from tests.support.howto_setting import Setting
from tests.support.people.terminal import empty_terminal, terminal
from tests.support.simulators.server import Simulator

__all__ = ["empty_terminal", "make_kernel", "set_up", "sqlite_url", "terminal"]


@pytest.fixture
def set_up(sqlite_url: str) -> Iterator[Callable[[str, Simulator], Setting]]:
    """Make a kernel with the receiver of a page; everything is closed again."""
    with ExitStack() as stack:
        yield lambda receiver, to: stack.enter_context(Setting(sqlite_url, receiver, to))
