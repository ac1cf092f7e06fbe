"""The suite of a dialect: what kernel asks of its database, on each kind of `tests.support.kinds`.

A database that is added runs all of it unchanged; its words stand in `tests.support.abilities`.
"""

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind, kind_of


@pytest.fixture
def kind(kernel: Kernel) -> Kind:
    """The words and the abilities of the kernel's database."""
    return kind_of(kernel.engine.dialect.name)
