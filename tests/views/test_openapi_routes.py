"""Who gets the API's document: whoever has a key that may read, or is signed in."""

from collections.abc import Callable

import pytest

from kernel.runtime.kernel import Kernel
from kernel.views.openapi.document import document
from tests.support.clients import Client, handlers, is_refusal, serve
from tests.support.people.dashboard import operator


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def test_page_holds_nothing_of_the_document_when_nobody_is_signed_in(kernel: Kernel) -> None:
    nobody = Client(serve(kernel), None)
    page = nobody.get("/docs")
    assert page.status_code == 200
    assert 'data-document="/openapi.json"' in page.text
    assert not any(tag in page.text for tag in handlers)
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_document_is_refused_without_a_session_when_asked_for_from_the_page(
    kernel: Kernel,
) -> None:
    assert is_refusal(Client(serve(kernel), None).get("/docs/openapi.json"), 401, "unauthenticated")


def test_document_is_open_when_an_operator_is_signed_in(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert "data-open" in visitor.get("/docs").text
    assert visitor.get("/docs/openapi.json").json == document(handlers)
