"""Every page, by the routes that there are: at two widths, in both languages, light and dark.

Each leaves a picture in var/screenshots/pages. `Look`s are chosen so that any two of width, colours
and language come together; `python -m tests.support.page_pictures` takes the rest as well.
"""

from collections.abc import Callable

import pytest

from tests.support.page_pictures import Look, open_page
from tests.support.people.browser import Window
from tests.support.people.every_page import Filled, every_page, fill_pages
from tests.support.stack import Stack

Open = Callable[..., Window]
PAIRS = [
    Look(1440, "light", "en"),
    Look(1440, "dark", "zh"),
    Look(390, "dark", "en"),
    Look(390, "light", "zh"),
]
# What a person came for: a list, figures, a form to fill in, or that there is nothing.
RESULTS = ", ".join(
    (
        *("main table tbody tr", "main .tiles", "main .conditions", "main [data-condition]"),
        *("main .empty", "main .charts", "main .summary", "main dl", "main article", "main pre"),
        *("main form[method=post]", "main form:not([role=search], [method=post])", "main .notice"),
    )
)
FIRST_SCREEN = 844
# Where the first result ends up, and what is wider than the window without scrolling by itself.
TOP = """
selector => Math.min(...[...document.querySelectorAll(selector)]
  .map(one => one.getBoundingClientRect()).filter(box => box.height > 0).map(box => box.top))
"""


@pytest.fixture(scope="module")
def filled(site: Stack) -> Filled:
    return fill_pages(site.kernel)


@pytest.mark.parametrize("look", PAIRS, ids=str)
def test_every_page_fits_is_open_to_everybody_and_shows_its_result_first(
    site: Stack, filled: Filled, operator: Open, look: Look
) -> None:
    visitor = operator(**look.options)
    wrong = []
    for name, path in every_page(site.kernel, filled).items():
        if not open_page(visitor, path):
            continue
        visitor.shot(f"pages/{name}-{look}")
        page = visitor.page
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > look.width:
            wrong.append(f"{name}: {wide} px wide")
        if page.evaluate(TOP, RESULTS) > FIRST_SCREEN:
            wrong.append(f"{name}: no result on the first screen")
        wrong += [f"{name}: {one}" for one in visitor.barriers()]
    visitor.forgive("404")  # the page that says that there is none
    assert wrong == []
