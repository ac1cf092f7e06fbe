"""Chromium in front of one installation per file, and people who look at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fixtures import make_kernel, sqlite_url
from tests.support.handlers.paced import STEPS, Leader
from tests.support.people.browser import PATIENCE_MS, Window, launched
from tests.support.people.dashboard import operator_key
from tests.support.servers import MariaDB, Redis, require
from tests.support.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["make_kernel", "sqlite_url"]


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """The browser, for one file of tests: its loop would be in the way of others."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    require("chromium", "chromium-browser")
    with sync_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB, redis: Redis
) -> Iterator[Stack]:
    """One installation for a file of tests: API and worker, with handlers fit to be watched."""
    url = mariadb.create_database()
    folder = tmp_path_factory.mktemp("site")
    more = {"handlers": "tests.support.handlers.paced:handlers", "worker_processes": 2}
    with Stack(folder, url, redis, **more) as stack:
        stack.api()
        stack.worker()
        yield stack
    mariadb.drop(url)


@pytest.fixture
def window(chromium: "Browser", site: Stack) -> Iterator[Callable[..., Window]]:
    """Open windows on the installation; each test ends without an error and without a stranger."""
    opened: list[Window] = []

    def open_window(**options: Any) -> Window:
        base = f"http://127.0.0.1:{site.port}"
        opened.append(Window(chromium, base, **options))
        return opened[-1]

    yield open_window
    # Before the windows close, which may cut off an answer that is still being read.
    wrong = [error for one in opened for error in one.errors]
    for one in opened:
        one.context.close()
    assert not wrong, f"errors in the console: {wrong}"
    outside = [url for one in opened for url in one.outside()]
    assert not outside, f"asked of another host: {outside}"


@pytest.fixture(scope="module")
def operators_key(site: Stack) -> str:
    """A key that opens the dashboard of the installation."""
    return operator_key(site.kernel)


@pytest.fixture
def operator(window: Callable[..., Window], operators_key: str) -> Callable[..., Window]:
    """Open windows in which an operator is signed in, at the overview."""

    def sign_in(**options: Any) -> Window:
        visitor = window(**{"locale": "en-GB", **options})
        visitor.page.goto("/dashboard/sign-in")
        visitor.page.locator("input[name=key]").fill(operators_key)
        visitor.page.locator("main button").click()
        visitor.page.wait_for_url("**/dashboard/")
        return visitor

    return sign_in


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[Leader]:
    """Somebody who sets the pace of an order, and lets it end in the end."""
    found = Leader(tmp_path / "pace")
    yield found
    found.go(STEPS)
