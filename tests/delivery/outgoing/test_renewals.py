"""A token whose renewal fails is used as long as it is valid, and its receiver takes it."""

import json

import pytest
from pydantic import SecretStr

from kernel.callers.credentials import Credentials, OAuth2
from kernel.delivery.outgoing.memory import memory_of
from kernel.delivery.outgoing.tokens import REFUSED_SECONDS, NoToken, Tokens
from kernel.errors import TransportError
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Delivered
from kernel.transport.client import Response
from tests.support.receiver import Answer, Receiver
from tests.support.ticketing import make_receiver, owe, send_due

LIFE = 1799.0


class Desk:
    """An endpoint, a clock, and the tokens of one process: renewed from 75 % of a life on."""

    def __init__(self) -> None:
        self.now, self.asked, self.refusal = 0.0, 0, Response(503, {}, b"", {})
        self.works, self.value = True, ""
        self.tokens = Tokens(lambda: self.now, rand=lambda: 0.0)

    def ask(self) -> Response:
        self.asked += 1
        if not self.works:
            return self.refusal
        told = {"access_token": self.value or f"t{self.asked}", "expires_in": LIFE}
        return Response(200, {}, json.dumps(told).encode(), {})

    def get(self, now: float) -> str:
        self.now = now
        return self.tokens.get("r", self.ask).value.get_secret_value()


@pytest.mark.parametrize(
    "refusal",
    [
        Response(503, {}, b"", {}),
        Response(429, {}, b"", {}),
        Response(401, {}, b'{"error": "invalid_client"}', {}),
        Response(200, {}, b"<html>", {}),
    ],
)
def test_old_token_is_used_until_its_end_and_the_endpoint_asked_now_and_then(
    refusal: Response,
) -> None:
    desk = Desk()
    assert desk.get(0.0) == "t1"
    desk.works, desk.refusal = False, refusal
    moments = (1400.0, 1401.0, 1400.0 + REFUSED_SECONDS, LIFE - 1)
    asked = []
    for moment in moments:
        assert desk.get(moment) == "t1"
        asked.append(desk.asked)
    assert asked == [2, 2, 3, 4]
    with pytest.raises(NoToken):
        desk.get(LIFE)
    desk.works = True
    assert desk.get(LIFE + REFUSED_SECONDS) == f"t{desk.asked}"


def test_new_token_is_taken_when_the_endpoint_gives_one_again() -> None:
    desk = Desk()
    desk.get(0.0)
    desk.works = False
    desk.get(1400.0)
    desk.works = True
    assert desk.get(1400.0 + REFUSED_SECONDS) == "t3"


def test_endpoint_is_not_asked_before_the_time_that_it_told_nor_later_than_the_end() -> None:
    desk = Desk()
    desk.get(0.0)
    desk.works, desk.refusal = False, Response(429, {"retry-after": "60"}, b"", {})
    assert (desk.get(1400.0), desk.get(1459.0), desk.asked) == ("t1", "t1", 2)
    desk.refusal = Response(429, {"retry-after": "7200"}, b"", {})
    assert (desk.get(1460.0), desk.get(LIFE - 1), desk.asked) == ("t1", "t1", 3)
    with pytest.raises(NoToken):
        desk.get(LIFE)


def test_endpoint_that_cannot_be_reached_leaves_the_old_token() -> None:
    desk, asked = Desk(), []

    def renew() -> Response:
        asked.append("renew")
        raise TransportError("timeout")

    old = desk.tokens.get("r", desk.ask, renew)
    desk.now = 1400.0
    assert desk.tokens.get("r", desk.ask, renew).value == old.value
    assert (asked, desk.asked) == (["renew"], 1)
    desk.now = LIFE
    assert desk.tokens.get("r", desk.ask, renew).value != old.value
    assert (asked, desk.asked) == (["renew"], 2)


def test_refused_token_is_thrown_away_also_after_its_renewal_failed() -> None:
    desk = Desk()
    first = desk.tokens.get("r", desk.ask)
    desk.works = False
    desk.get(1400.0)
    assert desk.tokens.refused("r", first)  # by a thread that has had it since before
    with pytest.raises(NoToken):
        desk.get(1401.0)


def test_token_that_is_refused_while_it_is_renewed_does_not_come_back() -> None:
    desk = Desk()
    first = desk.tokens.get("r", desk.ask)
    desk.now = 1400.0

    def renew() -> Response:
        assert desk.tokens.refused("r", first)
        return Response(503, {}, b"", {})

    with pytest.raises(NoToken):
        desk.tokens.get("r", renew)


def test_token_that_an_endpoint_gives_again_is_refused_by_its_value() -> None:
    desk = Desk()
    desk.value = "same"
    first = desk.tokens.get("r", desk.ask)
    desk.get(1400.0)
    assert desk.tokens.refused("r", first)
    desk.value = "other"
    assert desk.get(1401.0) == "other"


@pytest.mark.parametrize("answer", [Answer(503), Answer(200, delay=2.0)])
def test_callback_goes_out_with_the_old_token_while_the_endpoint_does_not_work(
    sender: Kernel, tickets: Receiver, answer: Answer
) -> None:
    now = [0.0]
    memory_of(sender).tokens = Tokens(lambda: now[0])
    with Receiver(tls=("login.example",)) as endpoint:
        client = {"client_id": "kernel", "client_secret": SecretStr("hush-hush")}
        url = endpoint.url + "token"
        login = OAuth2(token_url=url, grant="client_credentials", **client)
        make_receiver(sender, "itsm", tickets.url, Credentials(oauth2=login), timeout=1.5)
        told = json.dumps({"access_token": "t-1", "expires_in": LIFE}).encode()
        endpoint.script(Answer(200, body=told), answer)
        owe(sender, tickets.url)
        send_due(sender)
        now[0] = 0.95 * LIFE
        owe(sender, tickets.url)
        [finished] = send_due(sender)
        assert (finished.verdict, len(endpoint.requests)) == (Delivered(), 2)
        assert {one.headers["authorization"] for one in tickets.wait(2)} == {"Bearer t-1"}
