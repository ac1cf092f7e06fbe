"""A stranger's words in a note make no link, no image and no tag where it is shown."""

import re

import pytest
import requests

from tests.delivery.profiles.cases import FOUND, outcome, sent, shape_of
from tests.support.simulators.service_desks.servicenow import ServiceNow
from tests.support.simulators.service_desks.zendesk import Zendesk

HOSTILE = (
    "![x](http://evil/p.png) [reset](http://evil) <img src=http://evil/q.png>"
    " <a href='http://evil'>x</a> [code]<script src=http://evil></script>[/CODE]"
)
#: For each profile: the system, its login, and the address that is the receiver's own.
CASES = {
    "zendesk": (Zendesk, ("kernel@example.com/token", "zendesk-token"), ""),
    "servicenow-table": (ServiceNow, ("svc-kernel", "secret"), ""),
    "servicenow-scripted": (ServiceNow, ("svc-kernel", "secret"), "/api/x_acme/kernel/callback"),
}


@pytest.mark.parametrize("profile", CASES)
def test_hostile_words_are_shown_and_make_nothing(profile: str) -> None:
    system, login, own = CASES[profile]
    made = sent(shape_of(profile), profile, outcome("failed", HOSTILE))
    with system() as desk:
        ticket = desk.open("4711")
        ticket.id = FOUND if profile == "servicenow-table" else ticket.id
        url, headers = desk.url + (made.url or own), made.headers
        answer = requests.request(
            made.method, url, data=made.body, headers=headers, auth=login, timeout=5
        )
        assert answer.status_code == 200
    (note,) = ticket.notes
    assert re.search(r"<(?!br>)", note.text) is None
    assert "http://evil/p.png" in note.text
