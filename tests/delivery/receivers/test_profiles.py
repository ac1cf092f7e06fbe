"""Each profile, set up by the commands of its how-to, changes a ticket in a simulator."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel.delivery.profiles import profile
from tests.delivery.receivers.desks import DESKS, map_outcomes, ticket_in
from tests.support.howto import EACH
from tests.support.howto_setting import RECEIVERS, Setting
from tests.support.simulators.chats.cloudevents import CloudEvents
from tests.support.simulators.chats.slack import Slack
from tests.support.simulators.chats.teams import Teams
from tests.support.simulators.open_trackers.glpi import SOLVED
from tests.support.simulators.open_trackers.redmine import RESOLVED, Redmine
from tests.support.simulators.server import Simulator

SetUp = Callable[[str, Simulator], Setting]

#: What the state becomes by the outcome options of the page; None: the note alone.
STATES = {
    "servicenow/tickets": "3",
    "jira/transitions": "Done",
    "jira/datacenter-transitions": "Done",
    "zammad/tickets": "closed",
    "itop/tickets": "resolved",
    "glpi/solutions": SOLVED,
    "znuny/tickets": "closed successful",
    "redmine/issues": RESOLVED,
    "zendesk/tickets": "solved",
}
#: Receivers whose notes all who see the ticket can read: there are no others.
PUBLIC = {"gitlab/gitea-issues", "glpi/solutions"}


def test_every_receiver_of_the_pages_is_tested() -> None:
    known = {f"{page}/{name}" for page in EACH for name in EACH[page].receivers()}
    assert known - {"glpi-legacy/write-back"} == set(RECEIVERS)
    assert set(RECEIVERS) - set(DESKS) == {
        *("chat/slack", "chat/teams", "cloudevents/broker", "cloudevents/structured")
    }


@pytest.mark.parametrize("receiver", DESKS)
def test_ticket_gets_one_internal_note_when_an_order_has_ended(
    set_up: SetUp, receiver: str
) -> None:
    with DESKS[receiver]() as desk:
        ticket = ticket_in(desk, receiver)
        setting = set_up(receiver, desk)
        delivery = setting.deliver(setting.order())
        assert (delivery.state, setting.attempts()[-1][1]) == ("delivered", None), (
            setting.attempts(),
            [(call.method, call.target, call.body) for call in desk.calls],
        )
        (note,) = ticket.notes
        assert note.text.rstrip().endswith(f"ref {delivery.id}")
        assert note.is_public == (receiver in PUBLIC)


@pytest.mark.parametrize("receiver", STATES)
def test_ticket_changes_its_state_when_the_outcome_is_mapped(set_up: SetUp, receiver: str) -> None:
    with DESKS[receiver]() as desk:
        ticket = ticket_in(desk, receiver)
        setting = set_up(receiver, desk)
        map_outcomes(setting)
        delivery = setting.deliver(setting.order())
        assert (delivery.state, ticket.state) == ("delivered", STATES[receiver]), setting.attempts()
        assert len(ticket.notes) == 1


def test_redmine_note_is_public_in_silence_and_page_and_help_say_when(set_up: SetUp) -> None:
    with Redmine() as desk:
        ticket, setting = ticket_in(desk, "redmine/issues"), set_up("redmine/issues", desk)
        desk.may_hide_notes = False
        assert setting.deliver(setting.order()).state == "delivered", setting.attempts()
        assert [note.is_public for note in ticket.notes] == [True]
        page, told = (
            " ".join(text.split()) for text in (setting.page.text, profile("redmine").help)
        )
        assert "Without the last Redmine writes the note for everyone who sees the issue" in page
        assert 'public for a user whose role lacks "Set notes as private"' in told


@pytest.mark.parametrize("receiver", ["chat/slack", "chat/teams"])
def test_channel_gets_one_message_when_an_order_has_ended(set_up: SetUp, receiver: str) -> None:
    chat: Any = Slack() if receiver == "chat/slack" else Teams()
    with chat:
        setting = set_up(receiver, chat)
        delivery = setting.deliver(setting.order())
        assert delivery.state == "delivered", setting.attempts()
        (text,) = chat.messages if receiver == "chat/slack" else map(str, chat.cards)
        assert "web shop" in text
        assert f"ref {delivery.id}" in text


@pytest.mark.parametrize("receiver", ["cloudevents/broker", "cloudevents/structured"])
def test_event_arrives_with_its_attributes_when_an_order_has_ended(
    set_up: SetUp, receiver: str
) -> None:
    with CloudEvents() as broker:
        setting = set_up(receiver, broker)
        order_id = setting.order()
        delivery = setting.deliver(order_id)
        assert delivery.state == "delivered", setting.attempts()
        (event,) = broker.events
        assert event.attributes["id"] == delivery.id
        assert event.attributes["source"] == "/kernel/production"
        assert event.attributes["type"] == "order.finished.success"
        assert event.attributes["subject"] == "web shop"
        assert event.data["data"]["order_id"] == order_id
