"""The page for the person who ordered, in a browser, on a real installation."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.handlers.paced import STEPS, Leader
from tests.support.people.browser import LOOK_AWAY, Window
from tests.support.stack import Stack

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m {{7*7}}"
Open = Callable[..., Window]


def page_of(site: Stack, order_id: str) -> str:
    """The path of an order's page, as the API says it."""
    return urlsplit(site.show(order_id)["page"]).path


def begun(site: Stack, leader: Leader, **args: object) -> str:
    """Submit an order that goes as the leader says; return its id."""
    return site.submit("paced", file=str(leader.file), **args)


def test_bar_moves_to_the_end_and_the_page_stops_asking_when_watched(
    site: Stack, window: Open, leader: Leader
) -> None:
    order_id = begun(site, leader)
    visitor = window(locale="en-GB")
    page = visitor.page
    page.goto(page_of(site, order_id))
    expect(page.get_by_role("status")).to_have_text("In progress")
    bar = page.get_by_role("progressbar", name="Progress")
    for step in (3, 7):
        leader.go(step, f"step {step}")
        expect(bar).to_have_js_property("value", 10 * step)
        expect(page.get_by_text(f"{step} of {STEPS}", exact=True)).to_be_visible()
        expect(page.get_by_text(f"step {step}", exact=True)).to_be_visible()
    visitor.shot("ordered-running")
    leader.go(STEPS, "all of it")
    expect(page.get_by_role("status")).to_have_text("Done")
    expect(bar).to_have_js_property("value", 100)
    expect(page.get_by_text("all of it")).to_be_visible()
    expect(page).to_have_title("Done · paced")
    visitor.shot("ordered-success")
    asked = len(visitor.asked)
    page.clock.install()
    page.clock.run_for(60_000)
    assert len(visitor.asked) == asked


def test_page_shows_where_the_order_stands_when_closed_and_opened_again(
    site: Stack, window: Open, leader: Leader
) -> None:
    page = page_of(site, begun(site, leader))
    first = window()
    first.page.goto(page)
    expect(first.page.get_by_role("progressbar")).to_be_visible()
    first.page.close()
    leader.go(6)
    again = window().page
    again.goto(page)
    expect(again.get_by_role("progressbar")).to_have_js_property("value", 60)
    leader.go(STEPS)
    expect(again.get_by_role("status")).to_have_text("Done")


def test_page_asks_nothing_while_hidden_and_at_once_when_seen_again(
    site: Stack, window: Open, leader: Leader
) -> None:
    order_id = begun(site, leader)
    visitor = window()
    page = visitor.page
    page.add_init_script(LOOK_AWAY)
    page.clock.install()
    page.goto(page_of(site, order_id))
    with page.expect_request("**/o/*"):
        page.clock.run_for(3000)
    visitor.look_away()
    asked = len(visitor.asked)
    page.clock.run_for(60_000)
    assert len(visitor.asked) == asked
    with page.expect_request("**/o/*"):
        visitor.look_back()
    leader.go(STEPS)
    site.finished(order_id)


def test_page_reloads_itself_when_scripts_are_off(
    site: Stack, window: Open, leader: Leader
) -> None:
    order_id = begun(site, leader)
    leader.go(4)
    page = window(java_script_enabled=False).page
    page.goto(page_of(site, order_id))
    expect(page.get_by_text("40 %")).to_be_visible()
    leader.go(STEPS)
    expect(page.get_by_role("status")).to_have_text("Done")
    assert page.locator("meta[http-equiv]").count() == 0


def test_hostile_text_stays_text_when_the_order_ends(
    site: Stack, window: Open, leader: Leader
) -> None:
    order_id = begun(site, leader)
    leader.go(5, HOSTILE)
    visitor = window()
    page = visitor.page
    page.goto(page_of(site, order_id))
    expect(page.get_by_text("onerror=alert(1)")).to_be_visible()
    leader.go(STEPS, HOSTILE)
    expect(page.get_by_role("status")).to_have_text("Done")
    expect(page.get_by_text("onerror=alert(1)")).to_be_visible()
    assert page.locator("img").count() == 0
    visitor.shot("ordered-hostile")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_is_open_to_everybody_when_looked_at_closely(
    site: Stack, window: Open, scheme: str, language: str
) -> None:
    locale = {"en": "en-US", "zh": "zh-CN"}[language]
    visitor = window(color_scheme=scheme, locale=locale, viewport={"width": 420, "height": 800})
    rows = [{"projname": f"p{n}"} for n in range(30)] + [{"projname": ""}]
    ordered = [
        ("warning", site.submit("import_projects", projects=rows)),
        ("failed", site.submit("create_project", projname=" ")),
    ]
    for state, order_id in ordered:
        site.finished(order_id)
        visitor.page.goto(page_of(site, order_id))
        visitor.shot(f"ordered-{state}-{scheme}-{language}")
        assert visitor.barriers() == []
    visitor.page.goto("/o/nothing")
    assert visitor.barriers() == []
    visitor.forgive("404")


def test_page_says_so_and_goes_on_when_the_service_was_away(
    site: Stack, window: Open, leader: Leader
) -> None:
    order_id = begun(site, leader)
    visitor = window(locale="en-US")
    page = visitor.page
    page.goto(page_of(site, order_id))
    visitor.context.set_offline(True)
    expect(page.get_by_text("No connection")).to_be_visible()
    visitor.context.set_offline(False)
    leader.go(STEPS)
    expect(page.get_by_role("status")).to_have_text("Done")
    expect(page.get_by_text("No connection")).to_be_hidden()
    visitor.forgive("ERR_INTERNET_DISCONNECTED")
