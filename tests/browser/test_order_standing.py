"""An order's page says why: a paused receiver, one that fails, one that took the callback."""

from collections.abc import Callable

from playwright.sync_api import expect

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from tests.support.people.browser import Window, ordered
from tests.support.stack import PATIENCE, Stack
from tests.support.waiting import wait_until

Open = Callable[..., Window]
PHONE = {"width": 390, "height": 844}


def states(site: Stack, order_id: str) -> list[str]:
    return [one["state"] for one in site.show(order_id)["deliveries"]]


def tried(site: Stack, order_id: str) -> bool:
    owed = site.show(order_id)["deliveries"]
    return bool(owed) and owed[0]["attempt_count"] == 1 and "receiver failing" in owed[0]["why"]


def test_page_says_why_in_a_sentence_each_and_resumes_where_it_is_read(
    site: Stack, operator: Open
) -> None:
    site.receiver.script(503, path="/failing")
    failing = ordered(site, "create_project", "failing", projname="x")
    wait_until(lambda: tried(site, failing), PATIENCE, "a failed attempt")
    fine = ordered(site, "create_project", "fine", projname="x")
    wait_until(lambda: states(site, fine) == ["delivered"], PATIENCE, "a delivered callback")
    visitor = operator()
    page = visitor.page
    page.goto(f"/dashboard/orders/{failing}#attempt-1")
    callback = page.locator("#callback")
    expect(callback).to_contain_text("receiver failing: it answers 503, 1 attempt, next")
    expect(callback.get_by_role("button", name="Retry now")).to_be_visible()
    expect(page.locator("#attempt-1 details")).to_have_attribute("open", "")
    visitor.shot("order-failing")
    page.goto(f"/dashboard/orders/{fine}")
    expect(callback).to_contain_text("by attempt 1, answered 200")
    expect(page.locator("#work")).to_contain_text("done")
    visitor.shot("order-delivered")
    host = f"127.0.0.1:{site.receiver.port}"
    pause(site.kernel, Subject(host=host), by=By(Actor("vera", "cli"), "maintenance"))
    held = ordered(site, "create_project", "held", projname="x")
    wait_until(lambda: states(site, held) == ["held"], PATIENCE, "a held callback")
    page.set_viewport_size(PHONE)
    page.goto(f"/dashboard/orders/{held}")
    expect(callback).to_contain_text(f"held: {host} was paused")
    expect(callback).to_contain_text("by vera: maintenance")
    assert visitor.barriers() == []
    # On a phone the two states come before all else, and nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    visitor.shot("order-held-390")
    callback.get_by_role("button", name="Resume").click()
    expect(callback).to_contain_text("by attempt 1, answered 200")
