"""What becomes of a message or an event when the chat or the broker is not well."""

from collections.abc import Callable

import pytest

from tests.support.howto_setting import Setting
from tests.support.simulators import faults
from tests.support.simulators.chats import cloudevents, slack, teams
from tests.support.simulators.server import Fault, Simulator

SetUp = Callable[[str, Simulator], Setting]
DAY = 86_400.0


@pytest.mark.parametrize(
    ("word", "state"), [(w, "pending" if w == "rollup_error" else "dead") for w in slack.WORDS]
)
def test_slack_word_decides_before_its_status(set_up: SetUp, word: str, state: str) -> None:
    with slack.Slack() as chat:
        setting = set_up("chat/slack", chat)
        chat.next(slack.word(word))
        assert setting.deliver(setting.order()).state == state
        ((_, _, judged),) = setting.attempts()
        assert word in (judged or "")


@pytest.mark.parametrize(
    ("fault", "state", "cards"),
    [(teams.card_lost, "delivered", 0), (teams.throttled, "pending", 0)],
)
def test_teams_202_counts_as_delivered_also_when_the_flow_fails(
    set_up: SetUp, fault: Fault, state: str, cards: int
) -> None:
    with teams.Teams() as chat:
        setting = set_up("chat/teams", chat)
        chat.next(fault)
        assert setting.deliver(setting.order()).state == state, setting.attempts()
        assert len(chat.cards) == cards


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (cloudevents.gone, "dead"),
        (cloudevents.not_understood, "dead"),
        (faults.status(400), "dead"),
        (faults.status(408), "pending"),
        (faults.throttled(), "pending"),
        (faults.unavailable(), "pending"),
    ],
)
def test_event_is_refused_for_good_or_for_now_by_its_status(
    set_up: SetUp, fault: Fault, state: str
) -> None:
    with cloudevents.CloudEvents() as broker:
        setting = set_up("cloudevents/broker", broker)
        broker.next(fault)
        assert setting.deliver(setting.order()).state == state, setting.attempts()
        assert broker.events == []


def test_event_keeps_its_id_when_the_answer_was_lost(set_up: SetUp) -> None:
    with cloudevents.CloudEvents() as broker:
        setting = set_up("cloudevents/broker", broker)
        broker.next(faults.lost)
        delivery = setting.deliver(setting.order(), turns=2, seconds=DAY)
        assert (delivery.state, len(broker.events), broker.repeats) == ("delivered", 1, 1)
