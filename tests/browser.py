"""Debian's Chromium in front of a real installation: what a person sees, clicks and reads.

A window notes every error of its console and every host it asks; a test that leaves one of either
fails. Waiting is Playwright's own: `expect` and `wait_for_*`, never for a time to pass.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.servers import MariaDB, Redis, require
from tests.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
SCREENSHOTS = ROOT / "var" / "screenshots"
AXE = ROOT / "tests" / "vendor" / "axe-core-4.14.1.min.js"
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# Two cores, a database and a browser: nothing waits longer than it must.
PATIENCE_MS = 30_000
# What axe-core calls its findings, from the worst on; the lesser ones are advice.
GRAVE = ("critical", "serious")
# Lets a test say whether anybody looks at the page: a window without a screen is always seen.
LOOK_AWAY = """
Object.defineProperty(document, "hidden", {get: () => window.lookedAway === true});
Object.defineProperty(document, "visibilityState",
  {get: () => window.lookedAway === true ? "hidden" : "visible"});
"""


class Window:
    """One visitor's window: cookies of its own, and a note of all that went wrong or outside."""

    def __init__(self, browser: "Browser", base: str, **options: Any) -> None:
        self.host = urlsplit(base).netloc
        self.context = browser.new_context(base_url=base, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("console", self._note)
        self.context.on("weberror", lambda found: self.errors.append(str(found.error)))
        self.page: Page = self.context.new_page()

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def forgive(self, pattern: str) -> None:
        """Drop the errors a test has caused on purpose; there must be some."""
        kept = [one for one in self.errors if not re.search(pattern, one)]
        assert len(kept) < len(self.errors), f"no {pattern} in {self.errors}"
        self.errors[:] = kept

    def outside(self) -> list[str]:
        """What was asked of another host."""
        urls = [one for one in self.asked if not one.startswith(("data:", "blob:"))]
        return [one for one in urls if urlsplit(one).netloc != self.host]

    def shot(self, name: str, **options: Any) -> Path:
        """Keep a picture of the page in var/screenshots."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(self.page.screenshot(**{"full_page": True, **options}))
        return path

    def barriers(self) -> list[str]:
        """What keeps people out who see or point differently: axe-core's grave findings."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]

    def look_away(self) -> None:
        """Put the window into the background; needs `LOOK_AWAY` in the page."""
        self._look("true")

    def look_back(self) -> None:
        """Bring it back."""
        self._look("false")

    def _look(self, away: str) -> None:
        self.page.evaluate(
            f"window.lookedAway = {away}; document.dispatchEvent(new Event('visibilitychange'))"
        )


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """The browser, for one file of tests: its loop would be in the way of others."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    path = require("chromium", "chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *as_root])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB, redis: Redis
) -> Iterator[Stack]:
    """One installation for a file of tests: API and worker, with handlers fit to be watched."""
    url = mariadb.create_database()
    folder = tmp_path_factory.mktemp("site")
    with Stack(folder, url, redis, handlers="tests.watched:handlers") as stack:
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
    for one in opened:
        one.context.close()
    assert [one.errors for one in opened if one.errors] == []
    assert [url for one in opened for url in one.outside()] == []
