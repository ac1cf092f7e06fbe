"""Callbacks, receivers and callers in the dashboard: in a browser, on a real installation."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.people.browser import Window, given_up
from tests.support.stack import Stack

Open = Callable[..., Window]


def received(site: Stack, path: str) -> int:
    """How often the receiver was asked at this path."""
    return sum(one.path == f"/{path}" for one in site.receiver.requests)


def test_batch_of_dead_callbacks_is_delivered_when_counted_and_replayed(
    site: Stack, operator: Open
) -> None:
    paths = [f"batch-{n}" for n in range(3)]
    orders = [given_up(site, path) for path in paths]
    visitor = operator()
    page = visitor.page
    page.get_by_role("link", name="Callbacks", exact=True).click()
    page.get_by_role("link", name="dead", exact=True).click()
    page.wait_for_url("**state=dead*")
    for order_id in orders:
        expect(page.get_by_role("link", name=order_id)).to_be_visible()
    visitor.shot("deliveries-dead")
    page.get_by_role("link", name="Replay callbacks").click()
    expect(page.get_by_role("heading", name="3 match")).to_be_visible()
    visitor.shot("replay-counted")
    assert [received(site, path) for path in paths] == [1, 1, 1]
    page.get_by_label("Reason").fill("INC7")
    page.get_by_role("button", name="Begin: 3").click()
    expect(page.get_by_text("3 done, 0 left as they were")).to_be_visible()
    visitor.shot("replay-done")
    page.goto("/dashboard/deliveries?state=delivered")
    for order_id in orders:
        expect(page.get_by_role("link", name=order_id)).to_be_visible()
    assert [received(site, path) for path in paths] == [2, 2, 2]


def test_dead_callback_is_delivered_when_sent_again_from_the_list(
    site: Stack, operator: Open
) -> None:
    order_id = given_up(site, "listed")
    page = operator().page
    page.goto("/dashboard/deliveries")
    row = page.locator("tr", has=page.get_by_role("link", name=order_id))
    expect(row.locator("td .badge").first).to_have_text("dead")
    row.get_by_role("button", name="Redeliver").click()
    expect(row.locator("td .badge").first).to_have_text("delivered")


def test_host_is_held_and_released_when_paused_and_resumed(site: Stack, operator: Open) -> None:
    host = f"127.0.0.1:{site.receiver.port}"
    visitor = operator()
    page = visitor.page
    page.goto("/dashboard/deliveries")
    page.get_by_label("Name, or name:port").fill(host)
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text(host).first).to_be_visible()
    order_id = site.submit("create_project", projname="held")
    page.goto("/dashboard/deliveries?state=held")
    expect(page.get_by_role("link", name=order_id)).to_be_visible()
    page.goto("/dashboard/")
    visitor.shot("overview-paused")
    page.get_by_role("button", name="Resume", exact=True).first.click()
    site.callback(order_id)


def test_key_of_a_caller_is_rotated_and_shown_once(site: Stack, operator: Open) -> None:
    visitor = operator()
    page = visitor.page
    page.get_by_role("link", name="Callers", exact=True).click()
    page.locator("summary", has_text="Add a caller").click()
    page.get_by_label("Name (letters").fill("browser-made")
    visitor.shot("callers-adding")
    page.locator("form.terms button").click()
    key = page.get_by_text("kwo_").first
    expect(key).to_be_visible()
    visitor.shot("callers-secret")
    text = key.inner_text()
    assert site.get("/v1/orders", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    page.goto("/dashboard/callers")
    expect(page.get_by_role("heading", name="browser-made")).to_be_visible()
    assert text not in page.content()


def test_charts_are_drawn_and_told_in_words_on_the_overview(site: Stack, operator: Open) -> None:
    site.finished(site.submit("create_project", projname="charted"))
    visitor = operator()
    expect(visitor.page.locator("canvas").first).to_be_visible()
    visitor.shot("overview")


def test_trends_are_drawn_with_marks_and_compared_on_their_page(
    site: Stack, operator: Open
) -> None:
    site.finished(site.submit("create_project", projname="trended"))
    visitor = operator()
    page = visitor.page
    page.goto("/dashboard/trends")
    expect(page.locator("canvas")).to_have_count(5)
    expect(page.locator("#by-tag")).to_be_visible()
    visitor.shot("trends")
    page.get_by_role("combobox").select_option("tag:create_project")
    page.locator("form.choosing button").click()
    expect(page.locator("canvas").first).to_be_visible()
    assert "by=tag%3Acreate_project" in page.url
    page.goto("/dashboard/trends?span=week")
    expect(page.locator("canvas").first).to_be_visible()
    visitor.shot("trends-week")
