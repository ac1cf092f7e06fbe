"""A plugin of pytest: fixtures for tests of handlers, without a server.

It costs nothing where it is not asked for: no entry point loads it. Name it in the conftest.py at
the root of your tests, or in a test file itself, and say once which handlers are tested:

    pytest_plugins = ["kernel.testing.pytest"]   # conftest.py

    [tool.pytest.ini_options]                    # pyproject.toml
    kernel_handlers = "myhandlers:handlers"

Each fixture can be replaced by one of the same name, as ever in pytest. A test has a database of
its own, SQLite in a temporary folder. KERNEL_* and kernel.toml are not read.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from kernel.callers.profile import profiles_of
from kernel.config.settings import PREFIX, load
from kernel.config.toml_file import CONFIG_FILE
from kernel.db.dialects import file_url
from kernel.db.tables.callers import ANONYMOUS, Caller
from kernel.errors import ConfigurationError
from kernel.formats.signing import SignatureInvalid, verify
from kernel.handlers import Handlers, load_handlers
from kernel.handlers.registering.settings import load_own
from kernel.runtime.kernel import Kernel
from kernel.testing.orders import RECEIVER, order
from kernel.testing.tables import create_tables
from kernel.testing.transport import FakeTransport, Sent

INI = "kernel_handlers"
MARKER = "kernel"
_UNNAMED = (
    f"which handlers are to be tested? Say it in pytest's settings ({INI} = "
    '"myhandlers:handlers"), or write a fixture `handlers` that returns them'
)

_IN_TESTS = (
    "a test reads neither the environment nor kernel.toml: say them with "
    "kernel.testing.use_settings(kernel, MySettings(...))"
)


@dataclass(frozen=True)
class Callback:
    """One request to a callback's address, as the receiver would have got it."""

    sent: Sent
    secrets: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where it went."""
        return self.sent.url

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, by names in lower case."""
        return {name.lower(): value for name, value in self.sent.headers.items()}

    @property
    def body(self) -> bytes:
        """Its body."""
        return self.sent.body

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """Its body as JSON: ``status``, ``msg`` and ``data``."""
        found: dict[str, Any] = self.sent.json()
        return found

    @property
    def status(self) -> int:
        """0 success, 1 warning, -1 failed or cancelled."""
        return int(self.envelope["status"])

    @property
    def data(self) -> dict[str, Any]:
        """The envelope's ``data``: ``state``, ``result`` or ``error``, ``reference``, ..."""
        found: dict[str, Any] = self.envelope["data"]
        return found

    @property
    def is_signed(self) -> bool:
        """Whether one of the caller's secrets has signed it; of any age, for tests move the clock.

        Compare with False to see that a receiver would refuse it.
        """
        stamp = self.headers.get("webhook-timestamp", "0")
        try:
            verify(self.secrets, self.headers, self.body, int(stamp))
        except (SignatureInvalid, ValueError):
            return False
        return True


class Callbacks(Sequence[Callback]):
    """The requests that went to callbacks' addresses so far, in the order of their sending.

    Each attempt is one. Receivers answer 200 unless `answer` has told otherwise.
    """

    def __init__(self, kernel: Kernel, transport: FakeTransport) -> None:
        self._kernel, self._transport = kernel, transport

    def answer(self, *answers: int | str) -> None:
        """Answer the next requests so, and all later ones as the last: an HTTP status, or a word
        for a failure of the network, such as ``"timeout"``.
        """
        self._transport.answers[:] = answers

    @overload
    def __getitem__(self, index: int) -> Callback: ...
    @overload
    def __getitem__(self, index: slice) -> list[Callback]: ...
    def __getitem__(self, index: int | slice) -> Callback | list[Callback]:
        secrets = self._secrets()
        if isinstance(index, slice):
            return [Callback(one, secrets) for one in self._transport.sent[index]]
        return Callback(self._transport.sent[index], secrets)

    def __len__(self) -> int:
        return len(self._transport.sent)

    def __repr__(self) -> str:
        return f"<callbacks: {[one.body.decode(errors='replace') for one in self]}>"

    def _secrets(self) -> tuple[str, ...]:
        with self._kernel.read_session() as session:
            caller = session.scalar(select(Caller.id).where(Caller.name == ANONYMOUS))
            now = self._kernel.clock.now()
            profiles = profiles_of(session.connection(), [caller or 1], now)
        return tuple(one.get_secret_value() for found in profiles.values() for one in found.secrets)


@dataclass(frozen=True)
class Submit:
    """Submits orders to a kernel, as a caller without credentials would."""

    kernel: Kernel

    def __call__(self, /, select_tag: str, callback_url: str | None = RECEIVER, **args: Any) -> str:
        """Submit an order, and return its id; see `kernel.testing.order`."""
        return order(self.kernel, select_tag, callback_url, **args)


class _TestKernel(Kernel):
    """The kernel of a test; ``config``: the empty file in place of a kernel.toml."""

    config: Path

    @cached_property
    def own_settings(self) -> dict[str, BaseModel]:
        """The settings of handlers' own: their defaults, until `use_settings` says others."""
        try:
            with _unset(self.config):
                return load_own(one.declared for one in self.handlers.parts)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error.message}\n{_IN_TESTS}") from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the setting known that names the handlers."""
    parser.addini(INI, "the handlers to be tested, as KERNEL_HANDLERS names them", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known that sets settings."""
    config.addinivalue_line(
        "markers", f"{MARKER}(**settings): settings of the fixture `kernel`, as language='zh'"
    )


@pytest.fixture(scope="session")
def handlers(request: pytest.FixtureRequest) -> Handlers:
    """The handlers to be tested: those that the setting ``kernel_handlers`` names."""
    named = request.config.getini(INI)
    if not named:
        raise pytest.UsageError(_UNNAMED)
    try:
        return load_handlers(named)
    except ConfigurationError as error:
        said = error.message.replace("KERNEL_HANDLERS", INI)
        raise pytest.UsageError(said) from error.__cause__


@pytest.fixture
def kernel_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the kernel, by the names of kernel.toml; those of the marker ``kernel``."""
    marks = reversed(list(request.node.iter_markers(MARKER)))
    return {name: value for mark in marks for name, value in mark.kwargs.items()}


@pytest.fixture(scope="session")
def kernel_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with kernel's tables, made once: a copy takes a tenth of the time."""
    folder = tmp_path_factory.mktemp("kernel-template")
    made = Kernel(_settings(folder, {}), Handlers())
    create_tables(made)
    made.close()
    return folder / "test.db"


@pytest.fixture
def kernel(
    tmp_path_factory: pytest.TempPathFactory,
    kernel_template: Path,
    handlers: Handlers,
    kernel_settings: dict[str, Any],
) -> Iterator[Kernel]:
    """A kernel with the handlers, its tables and theirs, and a `FakeTransport`."""
    folder = tmp_path_factory.mktemp("kernel")
    shutil.copy(kernel_template, folder / "test.db")
    made = _TestKernel(_settings(folder, kernel_settings), handlers, FakeTransport())
    made.config = folder / "kernel.toml"
    create_tables(made)
    for metadata in handlers.metadata:
        metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def submit(kernel: Kernel) -> Submit:
    """Submits an order and returns its id: ``submit("open_rollout", customer="ACME")``."""
    return Submit(kernel)


@pytest.fixture
def callbacks(kernel: Kernel) -> Callbacks:
    """What went to the callbacks' addresses: ``callbacks[0].data["result"]``."""
    if not isinstance(kernel.transport, FakeTransport):
        raise pytest.UsageError("callbacks needs a kernel with a kernel.testing.FakeTransport")
    return Callbacks(kernel, kernel.transport)


def _settings(folder: Path, given: dict[str, Any]) -> Any:
    of_tests = {"database_url": file_url(folder / "test.db"), "result_backend": ""}
    (folder / "kernel.toml").touch()
    with _unset(folder / "kernel.toml"):
        return load(**of_tests | given)


@contextmanager
def _unset(config: Path) -> Iterator[None]:
    """Hide the settings of the shell and of the working directory."""
    before = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name in before:
        del os.environ[name]
    os.environ[CONFIG_FILE] = str(config)
    try:
        yield
    finally:
        del os.environ[CONFIG_FILE]
        os.environ.update(before)
