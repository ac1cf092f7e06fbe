"""OAuth tokens: asked for once by many threads, renewed in time, and told of without a secret."""

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from kernel.callers.credentials import OAuth2
from kernel.delivery.outgoing.tokens import (
    FRUITLESS_SECONDS,
    LONGEST_LIFE,
    REFUSED_SECONDS,
    UNTOLD_LIFE,
    NoToken,
    Tokens,
    token_request,
)
from kernel.errors import TransportError
from kernel.transport.client import Response

ENDPOINT = "https://login.example/token"
CLIENT = {"token_url": ENDPOINT, "client_id": "us+er", "client_secret": SecretStr("hush/ hush")}


class Endpoint:
    """A token endpoint: counts what it is asked, gives ``t1``, ``t2`` and so on."""

    def __init__(self, **told: Any) -> None:
        self.asked = 0
        self.status = 200
        self.told = {"token_type": "Bearer", "expires_in": 100} | told
        self.body: bytes | None = None

    def __call__(self) -> Response:
        self.asked += 1
        body = json.dumps({"access_token": f"t{self.asked}", **self.told}).encode()
        return Response(self.status, {}, self.body or body, {})


class Seconds:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def tokens(clock: Callable[[], float] | None = None) -> Tokens:
    """Tokens that are renewed when three quarters of their life are over."""
    return Tokens(clock or Seconds(), rand=lambda: 0.0)


def test_token_is_kept_and_renewed_before_it_expires() -> None:
    clock, endpoint = Seconds(), Endpoint()
    kept = tokens(clock)
    values = []
    for clock.now in (0.0, 74.0, 76.0):
        values.append(kept.get("r", endpoint).value.get_secret_value())
    assert values == ["t1", "t1", "t2"]


def test_processes_renew_at_different_moments() -> None:
    found = {
        Tokens(Seconds(), rand=lambda share=share: share).get("r", Endpoint()).renewed_at
        for share in (0.0, 0.5, 1.0)
    }
    assert found == {75.0, 82.5, 90.0}


def test_twenty_threads_ask_the_endpoint_once() -> None:
    endpoint, gate = Endpoint(), threading.Event()

    def ask() -> Response:
        gate.wait(10)
        return endpoint()

    kept, begun = tokens(), threading.Barrier(21)

    def get(_: int) -> str:
        begun.wait(10)
        return kept.get("r", ask).value.get_secret_value()

    with ThreadPoolExecutor(20) as threads:
        found = threads.map(get, range(20))
        begun.wait(10)
        gate.set()
        assert set(found) == {"t1"}
    assert endpoint.asked == 1


def test_others_use_the_old_token_while_one_renews_it() -> None:
    clock, endpoint = Seconds(), Endpoint()
    kept = tokens(clock)
    kept.get("r", endpoint)
    clock.now = 80.0
    seen: list[str] = []

    def ask() -> Response:
        seen.append(kept.get("r", endpoint).value.get_secret_value())
        return endpoint()

    assert kept.get("r", ask).value.get_secret_value() == "t2"
    assert seen == ["t1"]


def test_receivers_do_not_share_a_token() -> None:
    kept, endpoint = tokens(), Endpoint()
    assert kept.get("a", endpoint).value != kept.get("b", endpoint).value


def test_token_is_given_up_once_when_many_were_refused_with_it() -> None:
    kept, endpoint = tokens(), Endpoint()
    old = kept.get("r", endpoint)
    assert kept.refused("r", old)
    new = kept.get("r", endpoint)
    assert kept.refused("r", old)  # another thread, later
    assert kept.get("r", endpoint) is new


def test_refused_token_is_not_renewed_for_a_while_when_the_new_one_was_refused_too() -> None:
    clock, endpoint = Seconds(), Endpoint()
    kept = tokens(clock)
    assert kept.refused("r", kept.get("r", endpoint))
    kept.refused_anew("r", kept.get("r", endpoint))
    assert not kept.refused("r", kept.get("r", endpoint))
    clock.now = FRUITLESS_SECONDS
    assert kept.refused("r", kept.get("r", endpoint))


def test_endpoint_that_refuses_is_not_asked_again_at_once() -> None:
    clock, endpoint = Seconds(), Endpoint()
    kept = tokens(clock)
    endpoint.status = 400
    for clock.now in (0.0, 1.0, REFUSED_SECONDS):
        with pytest.raises(NoToken):
            kept.get("r", endpoint)
    assert endpoint.asked == 2


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"error": "invalid_client"}', "the token endpoint answered 400 (invalid_client)"),
        (401, b'{"error": "hush/ hush"}', "the token endpoint answered 401"),
        (500, b"<html>hush/ hush</html>", "the token endpoint answered 500"),
        (200, b'{"token": "x"}', "the token endpoint answered 200 without a token"),
        (
            *(200, b'{"error": "incorrect_client_credentials"}'),
            "the token endpoint answered 200 without a token (incorrect_client_credentials)",
        ),
        (
            200,
            b'{"ok": false, "error": "hush/ hush"}',
            "the token endpoint answered 200 without a token",
        ),
        (200, b'{"access_token": "a b"}', "the token endpoint answered 200 without a token"),
        (200, b"[" * 100_000, "the token endpoint answered 200 without a token"),
        (
            *(200, b'{"access_token": "x", "token_type": "mac"}'),
            "the token endpoint gave a token that is no bearer token",
        ),
    ],
)
def test_error_of_the_endpoint_says_what_happened_and_nothing_secret(
    status: int, body: bytes, said: str
) -> None:
    endpoint = Endpoint()
    endpoint.status, endpoint.body = status, body
    with pytest.raises(NoToken) as error:
        tokens().get("r", endpoint)
    assert str(error.value) == said


def test_endpoint_that_cannot_be_reached_is_told_by_its_reason_alone() -> None:
    def ask() -> Response:
        raise TransportError("connect", "https://u:hush@10.0.0.1")

    with pytest.raises(NoToken, match=r"^the token endpoint could not be asked: connect$"):
        tokens().get("r", ask)


def test_lack_of_ours_is_not_held_against_the_endpoint() -> None:
    def ask() -> Response:
        raise TransportError("no_room")

    kept = tokens()
    with pytest.raises(TransportError, match="no_room"):
        kept.get("r", ask)
    assert kept.get("r", Endpoint()).value.get_secret_value() == "t1"


@pytest.mark.parametrize(
    ("told", "life"),
    [
        (1799, 1799.0),
        ("3600", 3600.0),
        (None, UNTOLD_LIFE),
        (-5, UNTOLD_LIFE),
        ("soon", UNTOLD_LIFE),
        (True, UNTOLD_LIFE),
        ("nan", UNTOLD_LIFE),
        (1e300, LONGEST_LIFE),
    ],
)
def test_life_of_a_token_is_what_the_endpoint_tells_within_bounds(told: Any, life: float) -> None:
    assert tokens().get("r", Endpoint(expires_in=told)).expires_at == life


def test_client_credentials_are_encoded_before_they_go_in_basic() -> None:
    request = token_request(OAuth2(grant="client_credentials", **CLIENT, scope="a b"))
    scheme, _, pair = request.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"us%2Ber:hush%2F+hush")
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
    }
    assert (request.url, request.method) == (ENDPOINT, "POST")


def test_password_grant_sends_all_of_it_in_the_form_where_the_endpoint_wants_that() -> None:
    login = {"user": "bot", "password": SecretStr("p&w")}
    request = token_request(OAuth2(grant="password", **CLIENT, **login, in_body=True))
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["password"],
        "username": ["bot"],
        "password": ["p&w"],
        "client_id": ["us+er"],
        "client_secret": ["hush/ hush"],
    }
    assert "Authorization" not in request.headers
