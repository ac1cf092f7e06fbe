"""What an order's page shows of each request, and the order as a file."""

import json
import re
from datetime import timedelta

import pytest

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.factories import make_attempt, make_delivery, make_order
from tests.support.hints import FakeHints
from tests.support.people.dashboard import HOSTILE, Visitor, operator, words

BODY = json.dumps({"status": 0, "msg": HOSTILE}, ensure_ascii=False).encode()


@pytest.fixture
def visitor(kernel: Kernel) -> Visitor:
    return operator(kernel, FakeHints())


def owed(kernel: Kernel, **values: object) -> tuple[str, str]:
    now = kernel.clock.now()
    order_id = make_order(kernel, state="success", finished_at=now, reference="INC7")
    return order_id, make_delivery(kernel, order_id, **{"body": BODY, **values})


def test_body_of_a_callback_is_shown_as_text_and_found_whole_beside_the_page(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id, delivery_id = owed(kernel)
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "POST https://receiver.example/callback" in words(page)
    assert "<script>alert" not in page.text
    assert "alert(1)" in words(page)
    whole = visitor.get(f"/dashboard/orders/{order_id}/deliveries/{delivery_id}/body")
    assert (whole.data, whole.mimetype) == (BODY, "text/plain")
    other = visitor.get(f"/dashboard/orders/{order_id}/deliveries/{order_id}/body")
    assert other.status_code == 404


def test_attempt_has_an_address_of_its_own(kernel: Kernel, visitor: Visitor) -> None:
    order_id, delivery_id = owed(kernel, attempt=1, tries=1, is_retry=True)
    at = kernel.clock.now() - timedelta(minutes=5)
    make_attempt(kernel, delivery_id, at, "timeout")
    page = visitor.get(f"/dashboard/orders/{order_id}").text
    assert 'id="attempt-1"' in page
    assert "no answer in time" in page
    assert f"webhook-timestamp: {int(at.timestamp())}" in page
    assert re.search(r'href="#body-[^"]*">The body is as below', page)


def test_order_is_a_file_with_what_was_sent_and_who_did_what(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id, delivery_id = owed(kernel, attempt=1)
    make_attempt(kernel, delivery_id, kernel.clock.now())
    visitor.post(f"/dashboard/orders/{order_id}/deliveries/{delivery_id}/redeliver", reason="INC7")
    answer = visitor.get(f"/dashboard/orders/{order_id}/json")
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="order-{order_id}.json"'
    found = answer.get_json()
    assert (found["order_id"], found["reference"]) == (order_id, "INC7")
    (sent,) = found["deliveries"]
    assert sent["attempts"][0]["sent"]["body"].encode() == BODY
    assert [(one["verb"], one["actor"]) for one in found["acts"]] == [("delivery.redeliver", "ops")]


def test_viewer_gets_a_file_without_errors_of_runs(kernel: Kernel) -> None:
    visitor = Visitor(serve(kernel))
    with kernel.write_session() as session:
        key = people.add_person(session, "vera", Role.VIEWER, kernel.clock.now())
    visitor.sign_in(key.get_secret_value())
    order_id, _ = owed(kernel)
    assert visitor.get(f"/dashboard/orders/{order_id}/json").get_json()["why"].startswith("done")
