"""Databases and kernels, for tests of what a handler is given and may be."""

from tests.support.fixtures import make_kernel, sqlite_url

__all__ = ["make_kernel", "sqlite_url"]
