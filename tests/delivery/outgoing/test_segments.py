"""References that cannot be one segment of a URL, and secret URLs that cannot be read."""

from typing import Any

import pytest
from pydantic import SecretStr

from kernel.callers.credentials import Credentials
from kernel.delivery.profiles import made_shape
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Dead, RetryIn
from tests.support.factories import delivery
from tests.support.receiver import Receiver
from tests.support.ticketing import attempts, make_receiver, owe, send_due

NOT_ONE_SEGMENT = ["OPS/12", "OPS;12", "OPS\\12", "OPS%2E12", "OPS%252F12", "a\n12"]
IN_PATH = {
    "path": {"url": "issue/{{ reference }}/comment"},
    "part of a segment": {"url": "issue/T-{{ reference }}"},
    "lookup": {
        "lookup": {
            **{"url": "issue/{{ reference }}", "match": "id", "value": "id"},
            "equals": "{{ reference }}",
        }
    },
    "jira": made_shape("jira-dc-comment", {}, {}),
}


@pytest.mark.parametrize("shape", IN_PATH.values(), ids=IN_PATH)
@pytest.mark.parametrize("reference", NOT_ONE_SEGMENT)
def test_delivery_is_dead_when_its_reference_is_no_segment_of_a_url(
    sender: Kernel, tickets: Receiver, shape: dict[str, Any], reference: str
) -> None:
    """Every attempt would have the same URL, which two programs could read as two paths."""
    make_receiver(sender, "itsm", tickets.url + "api", shape=shape)
    owed = owe(sender, tickets.url + "api", told={"data": {"reference": reference}})
    [finished] = send_due(sender)
    assert (finished.verdict, tickets.requests) == (Dead("template"), [])
    assert delivery(sender, owed).died_of == "template"
    assert "cannot be one segment of a URL" in (attempts(sender)[0][2] or "")


@pytest.mark.parametrize("reference", ["12-web-shop", "2026-11-28 nightly"])
def test_delivery_is_dead_when_its_reference_only_begins_with_a_number(
    sender: Kernel, tickets: Receiver, reference: str
) -> None:
    """Redmine would write into the issue of these digits."""
    make_receiver(sender, "issues", tickets.url, shape=made_shape("redmine"))
    owed = owe(sender, tickets.url, told={"data": {"reference": reference}})
    [finished] = send_due(sender)
    assert (finished.verdict, tickets.requests) == (Dead("template"), [])
    assert delivery(sender, owed).died_of == "template"
    assert attempts(sender)[0][2] == "reference has to be a number"


@pytest.mark.parametrize("reference", ["OPS/12", "OPS;12", "a.b%c"])
def test_reference_may_be_anything_where_it_is_a_value_of_the_query(
    sender: Kernel, tickets: Receiver, reference: str
) -> None:
    make_receiver(sender, "itsm", tickets.url, shape={"url": "issue?key={{ reference }}"})
    owe(sender, tickets.url, told={"data": {"reference": reference}})
    assert [one.status for one in send_due(sender)] == [200]


def test_delivery_is_tried_again_when_a_secret_url_cannot_be_read(
    sender: Kernel, tickets: Receiver
) -> None:
    """It is the receiver's at each attempt, so that an operator can mend it."""
    kept = Credentials(secrets={"url": SecretStr(tickets.url + "services//x")})
    shape = {"url": "{{ secret.url }}"}
    make_receiver(sender, "chat", tickets.url + "services", kept, shape=shape)
    owe(sender, "receiver:chat", origin=tickets.url[:-1])
    [finished] = send_due(sender)
    assert (finished.reason, isinstance(finished.verdict, RetryIn)) == ("refused", True)
