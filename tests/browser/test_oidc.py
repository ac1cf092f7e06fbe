"""A person signs in by the organisation's provider: in a browser, with a real provider."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.oidc_provider import Provider
from tests.support.people.browser import Window
from tests.support.people.dashboard import operator_key
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Window]
BUTTON = "Sign in with your organisation"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB, redis: Redis
) -> Iterator[tuple[Stack, Provider]]:
    """An installation and a provider that know each other; no worker."""
    url = mariadb.create_database()
    stack = Stack(tmp_path_factory.mktemp("oidc"), url, redis)
    base = f"http://127.0.0.1:{stack.port}"
    with Provider(f"{base}/dashboard/oidc/callback") as provider:
        stack.settings |= {"public_url": base, **provider.settings}
        with stack:
            stack.api()
            yield stack, provider
    mariadb.drop(url)


@pytest.fixture
def window(chromium: "Browser", site: tuple[Stack, Provider]) -> Iterator[Open]:
    """Open windows on the installation; each asks nothing of a third host, nor ends in an error."""
    stack, provider = site
    opened: list[Window] = []

    def open_window(**options: Any) -> Window:
        base = f"http://127.0.0.1:{stack.port}"
        opened.append(Window(chromium, base, **{"locale": "en-GB", **options}))
        return opened[-1]

    yield open_window
    for one in opened:
        one.context.close()
    assert [error for one in opened for error in one.errors] == []
    outside = {url for one in opened for url in one.outside()}
    assert [url for url in outside if not url.startswith(provider.issuer)] == []


def at_the_provider(page: Page, name: str) -> None:
    """Go to the provider and say who one is."""
    page.get_by_role("button", name=BUTTON).click()
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Go on").click()


def test_person_comes_in_by_the_provider_and_leaves_again(
    site: tuple[Stack, Provider], window: Open
) -> None:
    visitor = window()
    page = visitor.page
    page.goto("/dashboard/orders?state=failed")
    visitor.shot("sign-in-oidc")
    assert visitor.barriers() == []
    at_the_provider(page, "alice")
    page.wait_for_url("**/dashboard/orders?state=failed")
    expect(page.get_by_text("alice")).to_be_visible()
    (cookie,) = [one for one in visitor.context.cookies() if one["name"].startswith("__Host-")]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.goto("/dashboard/orders")
    expect(page.get_by_role("button", name=BUTTON)).to_be_visible()
    visitor.forgive("401")


def test_person_without_a_role_reads_what_to_do(window: Open) -> None:
    visitor = window()
    page = visitor.page
    page.goto("/dashboard/sign-in")
    at_the_provider(page, "otto")
    expect(page.get_by_role("alert")).to_contain_text("none of your groups may use this dashboard")
    visitor.shot("sign-in-oidc-refused")
    assert visitor.barriers() == []
    page.goto("/dashboard/orders")
    expect(page.get_by_role("button", name=BUTTON)).to_be_visible()
    visitor.forgive("40[13]")


def test_person_who_cancels_at_the_provider_reads_so(window: Open) -> None:
    visitor = window()
    page = visitor.page
    page.goto("/dashboard/sign-in")
    page.get_by_role("button", name=BUTTON).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("cancelled or refused")
    visitor.forgive("403")


def test_person_comes_in_when_scripts_are_off(window: Open) -> None:
    page = window(java_script_enabled=False).page
    page.goto("/dashboard/sign-in")
    at_the_provider(page, "vera")
    page.wait_for_url("**/dashboard/")
    expect(page.get_by_text("vera")).to_be_visible()


def test_person_comes_in_when_the_provider_has_other_keys_than_before(
    site: tuple[Stack, Provider], window: Open
) -> None:
    site[1].tell(rotate=True)
    page = window().page
    page.goto("/dashboard/sign-in")
    at_the_provider(page, "norah")
    page.wait_for_url("**/dashboard/")


def test_key_opens_the_dashboard_when_the_provider_has_ended(
    site: tuple[Stack, Provider], window: Open
) -> None:
    stack, provider = site
    key = operator_key(stack.kernel)
    page = window().page
    page.goto("/dashboard/sign-in")
    provider.stop()  # for good: this is the last test of the file
    page.locator("input[name=key]").fill(key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dashboard/")
