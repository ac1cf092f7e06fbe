"""The simulated chats and the receiver of CloudEvents answer as their documents say."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.simulators.chats import cloudevents, slack, teams

Ask = Callable[..., requests.Response]


@pytest.mark.parametrize(
    ("given", "status", "word"),
    [
        ({"json": {"text": "done"}}, 200, "ok"),
        ({"json": {"text": ""}}, 400, "no_text"),
        ({"data": b"{"}, 400, "invalid_payload"),
    ],
)
def test_slack_answers_with_a_word_that_is_not_json(
    ask: Ask, given: Any, status: int, word: str
) -> None:
    with slack.Slack() as workspace:
        answer = ask(workspace, "POST", workspace.path, **given)
        assert (answer.status_code, answer.text) == (status, word)
        assert workspace.messages == ["done"] * (status == 200)
        other = ask(workspace, "POST", "/services/T0/B0/other", json={"text": "done"})
        assert (other.status_code, other.text) == (404, "no_service")


@pytest.mark.parametrize("word", slack.WORDS)
def test_slack_word_comes_with_its_status_when_told(ask: Ask, word: str) -> None:
    with slack.Slack() as workspace:
        workspace.next(slack.word(word))
        answer = ask(workspace, "POST", workspace.path, json={"text": "done"})
        assert (answer.status_code, answer.text) == (slack.WORDS[word], word)
        assert workspace.messages == []


def card(text: str) -> dict[str, Any]:
    """A message with one adaptive card."""
    body = [{"type": "TextBlock", "text": text, "wrap": True}]
    content = {"type": "AdaptiveCard", "version": "1.4", "body": body}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


@pytest.mark.parametrize(
    ("query", "members", "status"),
    [
        (teams.Teams.query, card("done"), 202),
        (teams.Teams.query.replace("%2B", "+"), card("done"), 401),
        (teams.Teams.query, {"type": "message"}, 400),
        (teams.Teams.query, card("x" * 28 * 1024), 413),
    ],
)
def test_teams_takes_a_card_of_28_kb_at_the_exact_url(
    ask: Ask, query: str, members: Any, status: int
) -> None:
    with teams.Teams() as flow:
        answer = ask(flow, "POST", f"{flow.path}?{query}", json=members)
        assert answer.status_code == status
        assert flow.texts == ["done"] * (status == 202)
        assert status != 202 or answer.content == b""


def test_teams_answers_202_also_when_the_flow_loses_the_card(ask: Ask) -> None:
    with teams.Teams() as flow:
        flow.next(teams.card_lost)
        answer = ask(flow, "POST", f"{flow.path}?{flow.query}", json=card("done"))
        assert (answer.status_code, flow.cards) == (202, [])


LOGIN = {"Authorization": "Bearer events-token"}
BINARY = {
    "Content-Type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "01a1",
    "ce-source": "/kernel",
    "ce-type": "order.success",
    "ce-subject": "R%C3%BCck%20%25",
}
EVENT = {"specversion": "1.0", "id": "01a1", "source": "/kernel", "type": "order.success"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}


def test_cloudevents_of_both_modes_are_one_event_when_source_and_id_are_the_same(ask: Ask) -> None:
    with cloudevents.CloudEvents() as receiver:
        data = {"n": 1}
        first = ask(receiver, "POST", "/events", json=data, headers={**LOGIN, **BINARY})
        members = {**EVENT, "data": data}
        again = ask(receiver, "POST", "/events", json=members, headers={**LOGIN, **STRUCTURED})
        assert (first.status_code, again.status_code) == (204, 204)
        (event,) = receiver.events
        assert (event.data, event.attributes["subject"]) == (data, "Rück %")
        assert receiver.repeats == 1


@pytest.mark.parametrize(
    ("headers", "members", "status"),
    [
        ({**BINARY, "ce-id": ""}, {}, 400),
        ({**BINARY, "ce-specversion": "0.3"}, {}, 400),
        ({**BINARY, "ce-datacontenttype": "application/json"}, {}, 400),
        ({**BINARY, "ce-subject": "R%FCck"}, {}, 400),
        ({"Content-Type": "application/cloudevents-batch+json"}, [EVENT], 415),
        (STRUCTURED, {"specversion": "1.0"}, 400),
        ({**BINARY, "Authorization": "Bearer wrong"}, {}, 401),
    ],
)
def test_cloudevents_that_break_the_rules_are_refused(
    ask: Ask, headers: dict[str, str], members: Any, status: int
) -> None:
    with cloudevents.CloudEvents() as receiver:
        answer = ask(receiver, "POST", "/events", json=members, headers={**LOGIN, **headers})
        assert (answer.status_code, receiver.events) == (status, [])


def test_cloudevents_receiver_consents_by_a_header_when_asked(ask: Ask) -> None:
    with cloudevents.CloudEvents() as receiver:
        asked = {"WebHook-Request-Origin": "kernel.example.net"}
        answer = ask(receiver, "OPTIONS", "/events", headers=asked)
        assert answer.headers["WebHook-Allowed-Origin"] == "*"
        for fault, status in ((cloudevents.gone, 410), (cloudevents.not_understood, 415)):
            receiver.next(fault)
            sent = ask(receiver, "POST", "/events", json={}, headers={**LOGIN, **BINARY})
            assert sent.status_code == status
        assert receiver.events == []
