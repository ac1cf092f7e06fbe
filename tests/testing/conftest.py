"""Fixtures of the test kit's own tests."""

from tests.support.fixtures import make_kernel, sqlite_url

__all__ = ["make_kernel", "sqlite_url"]
