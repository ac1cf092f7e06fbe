"""Debian's Chromium in front of a real installation: what a person sees, clicks and reads.

A window notes every error of its console and every host it asks; a test that leaves one of either
fails. Waiting is Playwright's own: `expect` and `wait_for_*`, never for a time to pass.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.servers import require
from tests.support.stack import PATIENCE, Stack
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

ROOT = Path(__file__).resolve().parents[3]
SCREENSHOTS = ROOT / "var" / "screenshots"
AXE = ROOT / "tests" / "vendor" / "axe-core-4.14.1.min.js"
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# Two cores, a database and a browser: nothing waits longer than it must.
PATIENCE_MS = 30_000
# A receiver that says so is not asked again.
GONE = 410
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
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
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

    def quiet_for(self, milliseconds: int) -> bool:
        """Let the page's time pass; tell whether it asked for nothing. Its clock is installed."""
        asked = len(self.asked)
        self.page.clock.run_for(milliseconds)
        return len(self.asked) == asked

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


@contextmanager
def launched(playwright: "Playwright") -> Iterator["Browser"]:
    """Run Debian's Chromium."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    path = require("chromium", "chromium-browser")
    browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *as_root])
    try:
        yield browser
    finally:
        browser.close()


def ordered(site: Stack, select_tag: str, path: str = "", **args: Any) -> str:
    """Submit an order whose callback goes to this path of the receiver; return its id."""
    order = {"select_tag": select_tag, "callback_url": f"{site.receiver.url}{path}", **args}
    return str(site.post("/v1/orders", order).json()["data"]["order_id"])


def given_up(site: Stack, path: str, **args: Any) -> str:
    """An order whose callback is dead: its receiver said that it is gone. Its id."""
    site.receiver.script(GONE, path=f"/{path}")
    order_id = ordered(site, "create_project", path, projname="x", **args)

    def states() -> list[str]:
        return [one["state"] for one in site.show(order_id)["deliveries"]]

    wait_until(lambda: states() == ["dead"], PATIENCE, "a dead callback")
    return order_id
