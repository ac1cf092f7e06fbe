"""The API's document at /docs, in a browser: nothing without a key, everything with one."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.people.browser import Window
from tests.support.stack import Stack

Open = Callable[..., Window]


def opened(window: Open, key: str, **options: object) -> Window:
    """A window in which the document is shown."""
    visitor = window(locale="en-US", **options)
    visitor.page.goto("/docs")
    visitor.page.get_by_label("API key").fill(key)
    visitor.page.get_by_role("button", name="Show").click()
    expect(visitor.page.get_by_text("/v1/orders", exact=True).first).to_be_visible()
    return visitor


def test_document_is_shown_when_a_key_is_given(site: Stack, window: Open) -> None:
    visitor = opened(window, site.key)
    page = visitor.page
    for summary in ("Submit an order", "List orders, newest first", "An order has ended"):
        expect(page.get_by_text(summary, exact=True).first).to_be_visible()
    visitor.shot("docs")
    assert site.key not in page.content()


def test_order_is_submitted_when_tried_out_on_the_page(site: Stack, window: Open) -> None:
    page = opened(window, site.key).page
    page.get_by_text("Submit an order", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    order = {
        "select_tag": "create_project",
        "projname": "x",
        "callback_url": site.receiver.url,
    }
    page.locator("textarea.body-param__text").fill(json.dumps(order))
    with page.expect_response("**/v1/orders") as answer:
        page.get_by_role("button", name="Execute").click()
    assert answer.value.status == 202
    order_id = answer.value.json()["data"]["order_id"]
    assert site.finished(order_id)["state"] == "success"


def test_nothing_is_shown_when_the_key_is_wrong(window: Open) -> None:
    visitor = window(locale="en-US")
    visitor.page.goto("/docs")
    visitor.page.get_by_label("API key").fill("kwo_wrong")
    visitor.page.get_by_role("button", name="Show").click()
    expect(visitor.page.get_by_role("alert")).to_have_text("This key does not open the document.")
    assert visitor.page.get_by_text("/v1/orders").count() == 0
    visitor.forgive("401")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_open_to_everybody_before_the_document_is_shown(window: Open, scheme: str) -> None:
    visitor = window(color_scheme=scheme)
    visitor.page.goto("/docs")
    assert visitor.barriers() == []


def test_page_is_dark_when_the_system_is(site: Stack, window: Open) -> None:
    visitor = opened(window, site.key, color_scheme="dark")
    expect(visitor.page.locator("html")).to_have_class("dark-mode")
    visitor.shot("docs-dark")


def test_schemas_and_examples_unfold_when_clicked(site: Stack, window: Open) -> None:
    page = opened(window, site.key).page
    page.get_by_text("Show an order", exact=True).click()
    page.get_by_role("tab", name="Schema").first.click()
    expect(page.get_by_text("callback_url").first).to_be_visible()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("Authorized").first).to_be_visible()
