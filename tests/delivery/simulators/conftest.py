"""A client that talks to a simulator as any program would."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.simulators.server import Simulator

Ask = Callable[..., requests.Response]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Send a request to a simulator: ask(simulator, "PUT", "/path", json=...). Follows nothing."""
    with requests.Session() as session:

        def send(to: Simulator, method: str, path: str, **given: Any) -> requests.Response:
            given = {"timeout": 5, "allow_redirects": False, **given}
            return session.request(method, to.url + path, **given)

        yield send
