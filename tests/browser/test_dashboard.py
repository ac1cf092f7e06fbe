"""What an operator does in the dashboard: in a browser, on a real installation."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.support.handlers.paced import STEPS, Leader
from tests.support.people.browser import LOOK_AWAY, Window, given_up, ordered
from tests.support.stack import Stack

Open = Callable[..., Window]
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>\u202e\x1b[31m {{7*7}}'


def table(page: Page) -> list[str]:
    """The order ids in the list, from the top."""
    return page.locator("tr[data-row] th code").all_inner_texts()


def test_operator_comes_in_with_a_key_and_leaves_again(window: Open, operators_key: str) -> None:
    visitor = window(locale="en-GB")
    page = visitor.page
    page.goto("/dashboard/orders?state=failed")
    page.locator("input[name=key]").fill("kwo_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("That key is unknown")
    visitor.shot("sign-in-refused")
    page.locator("input[name=key]").fill(operators_key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/orders?state=failed")
    (cookie,) = [one for one in visitor.context.cookies() if one["name"].startswith("__Host-")]
    assert (cookie["httpOnly"], cookie["secure"], cookie["path"]) == (True, True, "/")
    assert operators_key not in page.evaluate(
        "document.cookie + document.documentElement.outerHTML"
    )
    page.get_by_role("button", name="Sign out").click()
    page.goto("/dashboard/orders")
    expect(page.locator("input[name=key]")).to_be_visible()
    visitor.forgive("401")


def test_bar_moves_to_the_end_when_an_order_is_watched(
    site: Stack, operator: Open, leader: Leader
) -> None:
    order_id = ordered(site, "paced", file=str(leader.file))
    visitor = operator()
    page = visitor.page
    page.goto(f"/dashboard/orders/{order_id}")
    bar = page.get_by_role("progressbar")
    for step in (2, 8):
        leader.go(step, f"step {step}")
        expect(bar).to_have_js_property("position", step / STEPS)
        expect(page.get_by_text(f"step {step}")).to_be_visible()
    visitor.shot("order-running")
    leader.go(STEPS, "all")
    expect(bar).to_have_js_property("position", 1)
    expect(page.locator("#work > p .badge")).to_have_text("success")
    expect(page.locator("article.delivery .badge").first).to_have_text("delivered")
    visitor.shot("order-success")


def test_orders_are_found_by_state_words_and_tag_and_opened(site: Stack, operator: Open) -> None:
    failed = ordered(site, "create_project", projname=" ")
    named = ordered(site, "create_project", projname="needle-in-haystack")
    for order_id in (failed, named):
        site.finished(order_id)
    visitor = operator()
    page = visitor.page
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("link", name="failed").click()
    page.wait_for_url("**state=failed*")
    expect(page.locator(f"#o-{failed}")).to_be_visible()
    assert named not in table(page)
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_label("Text").fill("needle-in-haystack")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=needle-in-haystack*")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    visitor.shot("orders-found")
    page.get_by_role("link", name=named).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(named)
    expect(page.locator("#arguments")).to_contain_text("needle-in-haystack")


def test_dead_callback_is_delivered_when_sent_again(site: Stack, operator: Open) -> None:
    order_id = given_up(site, "redelivered")
    visitor = operator()
    page = visitor.page
    page.goto(f"/dashboard/orders/{order_id}")
    state = page.locator("article.delivery > header .badge")
    expect(state).to_have_text("dead")
    visitor.shot("order-dead")
    page.get_by_role("button", name="Redeliver").click()
    expect(page.get_by_text("The callback is due now.")).to_be_visible()
    expect(state).to_have_text("delivered")
    sent = [one for one in site.receiver.requests if one.path == "/redelivered"]
    assert len({one.headers["webhook-id"] for one in sent}) == 1
    assert len(sent) == 2


def test_order_is_cancelled_and_submitted_again_when_asked(
    site: Stack, operator: Open, leader: Leader
) -> None:
    order_id = ordered(site, "paced", file=str(leader.file))
    leader.go(1)
    page = operator().page
    page.goto(f"/dashboard/orders/{order_id}")
    expect(page.get_by_role("progressbar")).to_have_js_property("position", 1 / STEPS)
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    leader.go(2)
    expect(page.locator("#work > p .badge")).to_have_text("cancelled")
    leader.go(STEPS)
    page.get_by_text("Submit again…").click()
    page.get_by_role("button", name="Submit again", exact=True).click()
    expect(page.get_by_text("A new order was accepted.")).to_be_visible()
    fresh = page.get_by_role("heading", level=1).locator("code").inner_text()
    assert fresh != order_id
    assert site.finished(fresh)["state"] == "success"


def test_language_and_colours_stay_when_switched(operator: Open) -> None:
    visitor = operator(color_scheme="light")
    page = visitor.page
    page.goto("/dashboard/orders")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("工单")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="配色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/dashboard/")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
    visitor.shot("overview-dark-zh")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("link", name="Orders", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_hostile_orders_are_shown_as_text(site: Stack, operator: Open, leader: Leader) -> None:
    leader.go(3, HOSTILE)
    order_id = ordered(site, "paced", file=str(leader.file), total=STEPS)
    named = ordered(site, "create_project", projname=HOSTILE.replace("\x1b", ""), prodesc=HOSTILE)
    site.finished(named)
    visitor = operator()
    page = visitor.page
    page.goto(f"/dashboard/orders/{order_id}")
    expect(page.get_by_text("onerror=").first).to_be_visible()
    leader.go(STEPS, HOSTILE)
    expect(page.locator("#work > p .badge")).to_have_text("success")
    page.goto(f"/dashboard/orders/{named}")
    expect(page.locator("#arguments")).to_contain_text("<script>alert(2)</script>")
    visitor.shot("order-hostile")
    page.goto(f"/dashboard/orders?q={named}&tag=%3Cimg%20src%3Dx%3E")
    for scripted in ("img", "script:not([src])"):
        assert page.locator(scripted).count() == 0


def test_pages_can_be_read_when_scripts_are_off(site: Stack, operator: Open) -> None:
    order_id = ordered(site, "create_project", projname="unscripted")
    site.finished(order_id)
    page = operator(java_script_enabled=False).page
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("link", name="success").click()
    expect(page.locator(f"#o-{order_id}")).to_be_visible()
    page.get_by_role("link", name=order_id).click()
    expect(page.locator("#arguments")).to_contain_text("unscripted")
    for place in ("Overview", "Callbacks", "Callers"):
        page.get_by_role("link", name=place, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize("place", ["", "orders", "deliveries"])
def test_page_asks_nothing_while_hidden_or_paused(operator: Open, place: str) -> None:
    visitor = operator()
    page = visitor.page
    page.add_init_script(LOOK_AWAY)
    page.clock.install()
    page.goto(f"/dashboard/{place}")
    expect(page.get_by_role("button", name="Pause live")).to_be_visible()
    with page.expect_response(f"**/dashboard/{place}*"):
        page.clock.run_for(3000)
    visitor.look_away()
    assert visitor.quiet_for(60_000)
    with page.expect_response(f"**/dashboard/{place}*"):
        visitor.look_back()
    page.get_by_role("button", name="Pause live").click()
    assert visitor.quiet_for(60_000)
    with page.expect_response(f"**/dashboard/{place}*"):
        page.get_by_role("button", name="Resume live").click()


def test_list_is_walked_by_keys_when_the_hand_stays_on_the_keyboard(
    site: Stack, operator: Open
) -> None:
    for order_id in [ordered(site, "create_project", projname=f"k{n}") for n in range(3)]:
        site.finished(order_id)
    page = operator().page
    page.goto("/dashboard/orders")
    rows = table(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Text")).to_be_focused()
    page.keyboard.press("Escape")
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.get_by_role("link", name=rows[0])).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(rows[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "orders", "order", "deliveries", "callers", "problem"])
def test_page_is_open_to_everybody_when_looked_at_closely(
    site: Stack, operator: Open, scheme: str, place: str
) -> None:
    visitor = operator(color_scheme=scheme)
    page = visitor.page
    path = {"order": f"orders/{given_up(site, f'seen-{scheme}')}", "problem": "nowhere"}
    page.goto(f"/dashboard/{path.get(place, place)}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for more in page.locator("main details").all():
        more.evaluate("more => { more.open = true }")
    visitor.shot(f"{place or 'overview'}-{scheme}")
    assert visitor.barriers() == []
    if place == "problem":
        visitor.forgive("404")


def test_page_fits_when_the_window_is_narrow(site: Stack, operator: Open) -> None:
    order_id = given_up(site, "narrow")
    visitor = operator(viewport={"width": 400, "height": 800}, locale="zh-CN")
    for place in ("", "orders", f"orders/{order_id}", "deliveries", "callers"):
        visitor.page.goto(f"/dashboard/{place}")
        wide = visitor.page.evaluate("document.documentElement.scrollWidth")
        visitor.shot(f"narrow-{place.partition('/')[0] or 'overview'}{'-one' * ('/' in place)}")
        assert wide <= 400, place


def test_curl_of_an_order_is_one_that_works_when_pasted(site: Stack, operator: Open) -> None:
    order_id = ordered(site, "create_project", projname="it's quoted")
    site.finished(order_id)
    page = operator().page
    page.goto(f"/dashboard/orders/{order_id}")
    text = page.locator("#curl").inner_text()
    assert "/v1/orders" in text
    assert json.dumps("it's quoted")[1:4] in text


def test_times_are_the_readers_own_until_utc_is_chosen(site: Stack, operator: Open) -> None:
    order_id = ordered(site, "create_project", projname="x")
    visitor = operator(timezone_id="Asia/Shanghai")
    page = visitor.page
    page.goto(f"/dashboard/orders/{order_id}")
    moment = page.locator("main .timeline time").first
    at = datetime.fromisoformat(str(moment.get_attribute("datetime")))
    there = at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S GMT+8")
    expect(moment).to_have_text(there)
    moment.click()
    expect(moment).to_have_text(re.compile(r"\d sec\. ago"))
    moment.click()
    page.get_by_role("button", name="Show times in UTC").click()
    expect(moment).to_have_text(at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    page.reload()
    expect(page.get_by_role("button", name="Show times in UTC")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_quiet_tab_costs_next_to_nothing(site: Stack, operator: Open) -> None:
    """Five polls name what the tab has; their answers are counted as they come over the wire."""
    ordered(site, "create_project", projname="x")
    visitor = operator()
    page = visitor.page
    page.goto("/dashboard/orders")
    network = visitor.context.new_cdp_session(page)
    network.send("Network.enable")
    sent: list[float] = []
    network.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    for _ in range(6):
        with page.expect_response(lambda answer: "/dashboard/orders" in answer.url) as polled:
            pass
    assert polled.value.status == 304
    assert len(sent) >= 5
    assert sum(sorted(sent)[:5]) < 5_000
