"""Receivers in the browser: a draft is adopted, looked at, and removed."""

from collections.abc import Callable

from playwright.sync_api import expect
from pydantic import SecretStr
from sqlalchemy import insert

from kernel.callers.credentials import Basic, ClientCertificate, Credentials
from kernel.db.tables.operating.pauses import Pause
from tests.support.certificates import pair
from tests.support.people.browser import Window
from tests.support.stack import Stack
from tests.support.ticketing import make_receiver, set_shape

Open = Callable[..., Window]
HUSH = SecretStr("hush-hush")
SHAPE = {"method": "PATCH", "url": "{{ reference }}", "body": {"work_notes": "{{ text }}"}}


def give_receivers(site: Stack) -> None:
    """Make a receiver with a shape of its own, and a draft that holds its caller's callbacks."""
    login = Credentials(
        basic=Basic("svc", HUSH), client_certificate=ClientCertificate(*pair("kernel"))
    )
    terms = {"schedule": [5, 60, 300], "give_up": 172800, "rate": 60}
    desk = make_receiver(site.kernel, "snow", "https://desk.example/api", login, **terms)
    set_shape(site.kernel, desk, SHAPE)
    draft = Credentials(headers={"x-token": HUSH})
    make_receiver(site.kernel, "draft-1", "https://old.example/", draft, is_draft=True)
    held = {"caller_id": 1, "created_at": site.kernel.clock.now(), "reason": "adopt"}
    with site.kernel.write_session() as session:
        session.execute(insert(Pause).values(held))


def test_draft_is_adopted_and_removed_from_its_page(site: Stack, operator: Open) -> None:
    give_receivers(site)
    visitor = operator()
    page = visitor.page
    expect(page.get_by_text("Callbacks of anonymous are held")).to_be_visible()
    visitor.shot("overview-adopt")
    page.get_by_role("listitem").filter(has_text="are held").get_by_role("link").click()
    expect(page.get_by_role("row", name="draft-1")).to_contain_text("draft")
    assert visitor.barriers() == []
    visitor.shot("receivers")
    page.get_by_role("link", name="snow").click()
    page.locator("summary", has_text="version").first.click()
    expect(page.get_by_text('"method": "PATCH"')).to_be_visible()
    assert visitor.barriers() == []
    visitor.shot("receiver")
    page.go_back()
    page.get_by_role("link", name="draft-1").click()
    page.locator("summary", has_text="Adopt").click()
    visitor.shot("receiver-draft")
    page.get_by_role("button", name="Adopt", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Adopted: it is a receiver now.")
    page.locator("summary", has_text="Remove").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("The receiver is removed.")
    expect(page.get_by_role("link", name="draft-1")).to_have_count(0)
    page.goto("/dashboard/")
    expect(page.get_by_text("are held until")).to_have_count(0)
