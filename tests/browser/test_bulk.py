"""A bulk act in the browser: found in the reader's own time, counted, begun, followed, aborted."""

from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from tests.support.factories import make_order
from tests.support.people.browser import Window
from tests.support.stack import Stack

Open = Callable[..., Window]
BERLIN = "Europe/Berlin"


def failed(site: Stack, minutes: int, code: str) -> str:
    """An order that failed so many minutes ago."""
    then = site.kernel.clock.now() - timedelta(minutes=minutes)
    ended = {"state": "failed", "error_code": code, "finished_at": then, "created_at": then}
    return make_order(site.kernel, **ended)


def test_orders_that_failed_since_a_local_time_are_run_again(site: Stack, operator: Open) -> None:
    for minutes in (5, 6, 180):
        failed(site, minutes, "ad_gone")
    visitor = operator(timezone_id=BERLIN)
    page = visitor.page
    page.goto("/dashboard/bulk/new?kind=rerun")
    page.get_by_label("Error code").focus()
    expect(page.locator("#may-be-error option[value=ad_gone]")).to_have_count(1)
    page.get_by_label("Error code").fill("ad_gone")
    since = site.kernel.clock.now().astimezone(ZoneInfo(BERLIN)) - timedelta(hours=1)
    page.get_by_label("Ended from").fill(f"{since:%Y-%m-%d %H:%M}")
    expect(page.locator("[data-read-zone]")).to_have_text(BERLIN)
    page.get_by_role("button", name="Count").click()
    expect(page.get_by_role("heading", name="2 match")).to_be_visible()
    assert visitor.barriers() == []
    visitor.shot("bulk-counted")
    page.get_by_label("Reason").fill("INC77")
    page.get_by_role("button", name="Begin: 2").click()
    expect(page.get_by_text("2 done, 0 left as they were")).to_be_visible()
    expect(page.get_by_text("Run again as")).to_be_visible()
    assert visitor.barriers() == []
    visitor.shot("bulk-done")


def test_act_that_goes_slowly_is_aborted_on_its_page(site: Stack, operator: Open) -> None:
    for _ in range(3):
        failed(site, 5, "slow_one")
    visitor = operator(viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    page = visitor.page
    page.goto("/dashboard/bulk/new?kind=rerun&error=slow_one")
    visitor.shot("bulk-counted-390-zh")
    page.locator("input[name=rate]").fill("1")
    page.locator("input[name=reason]").fill("INC78")
    page.locator("form.begin button").click()
    expect(page.locator("progress")).to_have_attribute("value", "1")
    visitor.shot("bulk-going-on-390-zh")
    page.locator("details.sure summary").click()
    page.locator("details.sure button").click()
    expect(page.get_by_text("已中止").first).to_be_visible()
    expect(page.locator("progress")).to_have_attribute("value", "1")
    visitor.shot("bulk-aborted-390-zh")
