"""Parts of pages that are polled: nothing is sent while nothing changes, and little otherwise."""

import gzip
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order
from tests.support.failures import make_error
from tests.support.people.dashboard import Visitor, operator

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


POLLED = ("/dashboard/orders", "/dashboard/deliveries", "/dashboard/errors")


def polled(visitor: Visitor, path: str, **headers: str) -> TestResponse:
    """The live part of a page, asked for as a browser does."""
    return visitor.get(path, headers={"HX-Request": "true", **headers})


@pytest.mark.parametrize("path", POLLED)
def test_part_is_not_sent_again_while_nothing_changes(kernel: Kernel, path: str) -> None:
    order_id = make_order(kernel)
    visitor = operator(kernel)
    first = polled(visitor, path)
    again = polled(visitor, path, **{"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    kernel.clock.shift(180)
    visitor.post(f"/dashboard/orders/{order_id}/cancel")
    make_delivery(kernel)
    make_error(kernel)
    changed = polled(visitor, path, **{"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.data == b"") == (200, False)


def test_part_is_compressed_and_a_page_is_not(kernel: Kernel) -> None:
    visitor = operator(kernel)
    for _ in range(20):
        make_order(kernel)
    plain = polled(visitor, "/dashboard/orders")
    small = polled(visitor, "/dashboard/orders", **{"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) * 4 < len(plain.data)
    whole = visitor.get("/dashboard/orders", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in whole.headers, "its token would be given away by its length"
    assert (whole.headers["Cache-Control"], "ETag" in whole.headers) == ("no-store", False)
