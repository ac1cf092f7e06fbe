"""Databases and kernels, for tests of what a handler is given and may be."""

from tests.support.fixtures import make_kernel, sqlite_url
from tests.support.people.terminal import empty_terminal, terminal

__all__ = ["empty_terminal", "make_kernel", "sqlite_url", "terminal"]
