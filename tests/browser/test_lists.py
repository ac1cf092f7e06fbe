"""Lists of orders and callbacks in a browser: local times, offers, height of rows, a phone."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from kernel.db.ids import new_id
from tests.support.factories import make_delivery, make_order
from tests.support.people.browser import Window
from tests.support.stack import Stack

Open = Callable[..., Window]


def ended(site: Stack, hours: float, **values: str) -> str:
    """Make an order that was accepted so long ago, and failed at once; return its id."""
    at = site.kernel.clock.now() - timedelta(hours=hours)
    failed = {"state": "failed", "error_code": "ad_gone", "callback_url": ""}
    times = {"created_at": at, "run_after": at, "started_at": at, "finished_at": at}
    return make_order(site.kernel, id=new_id(at), run=1, **failed | values, **times)


def query(page_url: str) -> dict[str, str]:
    """The query of an address."""
    return {name: one[0] for name, one in parse_qs(urlsplit(page_url).query).items()}


def test_window_is_typed_in_the_readers_time_and_stays_in_it(site: Stack, operator: Open) -> None:
    old, young = ended(site, 5, select_tag="window"), ended(site, 1, select_tag="window")
    since = site.kernel.clock.now() - timedelta(hours=3)
    typed = since.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M")
    page = operator(timezone_id="Asia/Shanghai").page
    page.goto("/dashboard/orders?tag=window")
    expect(page.locator("tr[data-row]")).to_have_count(2)
    page.get_by_label("From", exact=True).fill(typed)
    page.get_by_role("button", name="Find").click()
    expect(page.locator(f"#o-{old}")).to_have_count(0)
    expect(page.locator(f"#o-{young}")).to_be_visible()
    assert query(page.url) == {"tag": "window", "since": typed, "zone": "Asia/Shanghai"}
    # Somebody elsewhere opens the address: its times stay what they are, and so does the next one.
    other = operator(timezone_id="America/New_York").page
    other.goto(page.url)
    expect(other.locator("tr[data-row]")).to_have_count(1)
    expect(other.locator("[data-read-zone]")).to_have_text("Asia/Shanghai")
    other.get_by_role("button", name="Find").click()
    expect(other.locator("tr[data-row]")).to_have_count(1)
    other.get_by_role("button", name="Show times in UTC").click()
    expect(other.locator("[data-read-zone]")).to_have_text("UTC")
    page.go_back()
    expect(page.locator("tr[data-row]")).to_have_count(2)


@pytest.mark.parametrize("place", ["orders", "deliveries"])
def test_references_are_offered_while_they_are_typed(
    site: Stack, operator: Open, place: str
) -> None:
    for number in range(3):
        ended(site, 1, reference=f"OFFER-{number}")
    page = operator().page
    page.goto(f"/dashboard/{place}")
    if place == "orders":
        page.get_by_text("More filters").click()
    page.get_by_label("Reference begins with").press_sequentially("OFFER-")
    options = page.locator("#may-be-reference_prefix option")
    expect(options).to_have_count(3)
    assert options.first.get_attribute("value") == "OFFER-0"


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("place", ["orders", "deliveries"])
def test_rows_are_28_pixels_high(site: Stack, operator: Open, place: str, language: str) -> None:
    order_id = ended(site, 1, reference="HIGH-1")
    ended(site, 1)
    make_order(site.kernel, state="running", progress_current=2, progress_total=600)
    make_delivery(site.kernel, order_id, state="dead", died_of="gone")
    visitor = operator(viewport={"width": 1440, "height": 900}, locale=language)
    page = visitor.page
    page.goto(f"/dashboard/{place}")
    visitor.shot(f"list-{place}-{language}")
    heights = "[...document.querySelectorAll('tr[data-row]')].map(row => row.offsetHeight)"
    found = page.evaluate(heights)
    assert found
    # Rows share their borders: one pixel belongs to either.
    assert [height for height in found if not 27 <= height <= 29] == []
    assert sum(found) / len(found) < 28.5


@pytest.mark.parametrize("place", ["orders", "deliveries"])
def test_results_come_first_on_a_phone(site: Stack, operator: Open, place: str) -> None:
    order_id = ended(site, 1, reference="PHONE-1")
    make_delivery(site.kernel, order_id, state="dead", died_of="gone")
    visitor = operator(viewport={"width": 390, "height": 844})
    page = visitor.page
    page.goto(f"/dashboard/{place}?since=1d")
    visitor.shot(f"list-{place}-phone")
    row, filters = (page.locator(one).first.bounding_box() for one in ("[data-row]", "#filters"))
    assert row is not None
    assert filters is not None
    assert row["y"] < 844 - row["height"], "the first result is not on the first screen"
    assert filters["y"] > row["y"]
    field = page.get_by_label("select_tag", exact=True)
    expect(field).to_be_hidden()
    page.get_by_role("link", name="Filters").click()
    expect(field).to_be_visible()
    expect(field).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visitor.barriers() == []


def test_counts_narrow_and_every_filter_goes_again(site: Stack, operator: Open) -> None:
    for code in ("ad_gone", "ad_gone", "late"):
        ended(site, 1, error_code=code, select_tag="narrowed")
    page = operator().page
    page.goto("/dashboard/orders?tag=narrowed")
    expect(page.locator("[data-total]")).to_have_text("3 orders")
    page.locator("#counts").get_by_role("link", name="ad_gone").click()
    expect(page.locator("[data-row]")).to_have_count(2)
    page.get_by_role("link", name="Take away: Error code: ad_gone").click()
    expect(page.locator("[data-row]")).to_have_count(3)
    page.go_back()
    expect(page.locator("[data-row]")).to_have_count(2)
