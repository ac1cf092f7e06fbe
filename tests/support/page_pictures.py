"""Takes a picture of every page as everybody sees it: `python -m tests.support.page_pictures`.

At two widths, in both languages, light and dark: var/screenshots/pages. To be looked at.
"""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from tests.support.people.browser import PATIENCE_MS, SCREENSHOTS, Window, launched
from tests.support.people.dashboard import operator_key
from tests.support.people.every_page import every_page, fill_pages
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack

HEIGHTS = {1440: 900, 390: 844}
LOCALES = {"en": "en-GB", "zh": "zh-CN"}


@dataclass(frozen=True)
class Look:
    """How somebody sees pages."""

    width: int
    scheme: str
    language: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}-{self.language}"

    @property
    def options(self) -> dict[str, Any]:
        """What a window is opened with."""
        return {
            "viewport": {"width": self.width, "height": HEIGHTS[self.width]},
            "color_scheme": self.scheme,
            "locale": LOCALES[self.language],
            "timezone_id": "Europe/Berlin",
        }


LOOKS = [Look(*one) for one in product(HEIGHTS, ("light", "dark"), LOCALES)]


def open_page(visitor: Window, path: str) -> bool:
    """Go to a page, and wait until it is drawn; tell whether it is one."""
    answer = visitor.page.goto(path)
    if answer is None or not answer.headers.get("content-type", "").startswith("text/html"):
        return False
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    if visitor.page.locator("[data-chart]").count():
        expect(visitor.page.locator("canvas").first).to_be_visible()
    return True


def main() -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory(prefix="kernel-pages-") as name,
        closing(MariaDB()) as mariadb,
        closing(Redis()) as redis,
    ):
        mariadb.start()
        redis.start()
        with Stack(Path(name), mariadb.create_database(), redis, worker_processes=2) as stack:
            filled = fill_pages(stack.kernel)
            stack.api()
            stack.worker()
            key = operator_key(stack.kernel)
            with sync_playwright() as playwright, launched(playwright) as browser:
                expect.set_options(timeout=PATIENCE_MS)
                for look in LOOKS:
                    window = Window(browser, f"http://127.0.0.1:{stack.port}", **look.options)
                    window.page.goto("/dashboard/sign-in")
                    window.shot(f"pages/sign_in-{look}")
                    window.page.locator("input[name=key]").fill(key)
                    window.page.locator("main button").click()
                    window.page.wait_for_url("**/dashboard/")
                    for page, path in every_page(stack.kernel, filled).items():
                        if open_page(window, path):
                            window.shot(f"pages/{page}-{look}")
                    window.context.close()
    print(f"{len(list((SCREENSHOTS / 'pages').glob('*.png')))} pictures in {SCREENSHOTS}/pages")


if __name__ == "__main__":
    main()
