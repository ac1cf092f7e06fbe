"""A kernel that really sends, to receivers on loopback by http and https."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.runtime.kernel import Kernel
from kernel.transport.client import Transport
from tests.support.receiver import Receiver, authority

NETS = ["127.0.0.1/32"]
HOSTS = {f"{name}.example.": ["127.0.0.1"] for name in ("tickets", "login", "evil", "hooks")}


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    """A transport that trusts the tests' authority and finds three hosts on loopback."""
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = Transport(5, str(tmp_path / "ca.pem"), resolver=HOSTS.__getitem__)
    yield made
    made.close()


@pytest.fixture
def sender(make_kernel: Callable[..., Kernel], sqlite_url: str, transport: Transport) -> Kernel:
    """A kernel on a file that sends for real."""
    return make_kernel(sqlite_url, transport=transport, callback_allow_nets=NETS)


@pytest.fixture
def tickets() -> Iterator[Receiver]:
    """The ticket system: https://tickets.example."""
    with Receiver(tls=("tickets.example",)) as made:
        yield made
