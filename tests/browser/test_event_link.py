"""The page of a link that tells an event, in a browser without scripts."""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from kernel import Handlers, Run, Wait
from kernel.db.tables.gates import EVENTS
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.factories import make_order, rows
from tests.support.handlers.misbehaving import Named
from tests.support.people.browser import Window

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    """A kernel without handlers, whose links have a host."""
    return make_kernel(sqlite_url, Handlers(), public_url="https://kernel.example")


@pytest.fixture
def base(kernel: Kernel) -> Iterator[str]:
    """Where its pages are served."""
    server = make_server("127.0.0.1", 0, serve(kernel), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def asked(kernel: Kernel) -> str:
    """Have an order ask for an approval; return the path of its link."""
    links: list[str] = []

    @kernel.handlers.register("release", Named)
    def release(run: Run, args: Named) -> Any:
        links.append(run.link("approved", {"version": "2.0", "system": "计费"}))
        return Wait("approved")

    order_id = make_order(kernel, select_tag="release", args="{}", reference="CHG-4711")
    execute(kernel, order_id)
    return urlsplit(links[0]).path


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_button_tells_the_event_once_when_the_page_runs_no_scripts(
    kernel: Kernel, base: str, chromium: "Browser", locale: str
) -> None:
    path = asked(kernel)
    visitor = Window(chromium, base, java_script_enabled=False, locale=locale)
    page = visitor.page
    page.goto(path)
    expect(page.get_by_text("CHG-4711")).to_be_visible()
    expect(page.get_by_text("计费")).to_be_visible()
    visitor.shot(f"link-asks-{locale}")
    assert rows(kernel, EVENTS) == []
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("approved")
    visitor.shot(f"link-told-{locale}")
    assert [one.name for one in rows(kernel, EVENTS)] == ["approved"]
    page.goto(path)
    expect(page.get_by_role("button")).to_have_count(0)
    visitor.shot(f"link-used-{locale}")
    visitor.context.close()
    assert (visitor.errors, visitor.outside()) == ([], [])
