"""A browser before a kernel that knows the provider, and the provider: fixtures to import."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from kernel.runtime.kernel import Kernel
from kernel.transport.client import Transport
from tests.support.oidc_provider import Provider
from tests.support.people.dashboard import Visitor, stranger, words

MakeKernel = Callable[..., Kernel]
PUBLIC = "https://kernel.example"
START, CALLBACK = "/dashboard/oidc/start", "/dashboard/oidc/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider(PUBLIC + CALLBACK) as found:
        yield found


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    """The provider of this file, honest again afterwards."""
    yield running
    running.tell(lie="", slow=0)


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str, provider: Provider) -> Kernel:
    return make_kernel(sqlite_url, transport=Transport(), public_url=PUBLIC, **provider.settings)


@pytest.fixture
def visitor(kernel: Kernel) -> Visitor:
    return stranger(kernel)


def led_back(
    visitor: Visitor, provider: Provider, name: str = "alice", next_: str = "/dashboard/orders"
) -> str:
    """Begin, and sign in at the provider; return the path to which it leads back."""
    answer = visitor.get(f"{START}?{urlencode({'next': next_})}")
    assert answer.status_code == 303, words(answer)
    address = provider.sign_in(answer.location, name)
    assert address.startswith(f"{PUBLIC}{CALLBACK}?")
    return address.removeprefix(PUBLIC)


def is_outside(visitor: Visitor) -> bool:
    return visitor.get("/dashboard/orders").status_code == 401


def cookies(answer: TestResponse) -> list[str]:
    return answer.headers.getlist("Set-Cookie")
