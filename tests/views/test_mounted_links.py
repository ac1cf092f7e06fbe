"""Links of a kernel that an application mounts below a prefix: each leads to a page of it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from pydantic import BaseModel

from kernel.handlers import Handlers, Run, Wait
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.views.app import init_app
from tests.support.clients import Client, FakeHints, new_key
from tests.support.factories import CALLBACK

handlers = Handlers()
LINKS: dict[str, str] = {}


class Nothing(BaseModel):
    """No arguments."""


@handlers.register("ask", Nothing)
def ask(run: Run, args: Nothing) -> Any:
    """Make a link and wait."""
    LINKS[run.order_id] = run.link("approved")
    return Wait("approved")


def mounted(kernel: Kernel) -> Client:
    """Mount ``kernel`` below /kernel; return a caller of the application around it."""
    host = Flask("host")
    init_app(host, kernel, url_prefix="/kernel", hints=FakeHints())
    return Client(host, new_key(kernel, "portal"))


def asked(portal: Client) -> dict[str, str]:
    """Submit an order that asks; return what the answer says of it."""
    order = {"select_tag": "ask", "callback_url": CALLBACK}
    answer = portal.post("/kernel/v1/orders", json=order)
    assert answer.status_code == 202, answer.text
    return dict(answer.json["data"])


@pytest.mark.parametrize("public_url", ["https://it.example/kernel", "https://it.example/kernel/"])
def test_links_lead_to_their_pages_when_the_public_address_holds_the_prefix(
    make_kernel: Callable[..., Kernel], sqlite_url: str, public_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers, public_url=public_url)
    portal = mounted(kernel)
    found = asked(portal)
    execute(kernel, found["order_id"])
    for link, place in ((found["page"], "/o/"), (LINKS[found["order_id"]], "/e/")):
        assert link.startswith(f"https://it.example/kernel{place}")
        assert portal.get(urlsplit(link).path).status_code == 200, link


@pytest.mark.parametrize(
    ("public_url", "script_name", "begins"),
    [
        ("https://it.example", "", "https://it.example/kernel"),
        ("https://it.example/desk/kernel", "", "https://it.example/desk/kernel"),
        ("https://it.example/desk/kernel", "/desk", "https://it.example/desk/kernel"),
        ("https://it.example/another-kernel", "", "https://it.example/another-kernel/kernel"),
        ("", "/desk", "http://127.0.0.1:8000/desk/kernel"),
    ],
)
def test_line_to_paste_and_page_begin_with_the_public_address_and_the_prefix_once(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    public_url: str,
    script_name: str,
    begins: str,
) -> None:
    kernel = make_kernel(sqlite_url, handlers, auth="off", public_url=public_url)
    anyone = Client(mounted(kernel).app, None)
    around = {"SCRIPT_NAME": script_name}
    order = {"select_tag": "ask", "callback_url": CALLBACK}
    given: dict[str, Any] = {"base_url": "http://127.0.0.1:8000", "environ_overrides": around}
    found = anyone.post("/kernel/v1/orders", json=order, **given).json["data"]
    assert found["page"].startswith(f"{begins}/o/")
    page = anyone.get(f"/kernel/dashboard/orders/{found['order_id']}", **given)
    assert f"curl {begins}/v1/orders" in page.text
