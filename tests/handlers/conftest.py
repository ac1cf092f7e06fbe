"""What the tests of handlers' registration begin with."""

from tests.support.fixtures import make_kernel, sqlite_url

__all__ = ["make_kernel", "sqlite_url"]
