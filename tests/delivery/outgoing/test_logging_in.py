"""One attempt that logs in: by OAuth, by a client certificate, by ServiceNow's signature."""

import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from pydantic import SecretStr

from kernel.callers.credentials import ClientCertificate, Credentials, OAuth2
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Delivered, RetryIn
from tests.support.certificates import asking, name_the_client, pair
from tests.support.receiver import Answer, Receiver
from tests.support.ticketing import attempts, make_receiver, owe, send_due

NOTE = {"method": "PATCH", "body": {"work_notes": "{{ reference }} is {{ state }}"}}


def oauth(endpoint: Receiver) -> Credentials:
    """A login by OAuth at an endpoint."""
    client = {"client_id": "kernel", "client_secret": SecretStr("hush-hush")}
    url = endpoint.url + "token"
    return Credentials(oauth2=OAuth2(token_url=url, grant="client_credentials", **client))


def token(value: str) -> Answer:
    """An answer of the endpoint's."""
    return Answer(200, body=json.dumps({"access_token": value, "token_type": "bearer"}).encode())


def test_token_is_asked_for_once_and_shared(sender: Kernel, tickets: Receiver) -> None:
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint))
        endpoint.default = token("t-1")
        for _ in range(5):
            owe(sender, tickets.url)
        send_due(sender)
        assert len(endpoint.requests) == 1
        assert {one.headers["authorization"] for one in tickets.wait(5)} == {"Bearer t-1"}


def test_token_is_asked_for_once_by_twenty_threads_that_send_at_once(
    sender: Kernel, tickets: Receiver
) -> None:
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint))
        endpoint.default = replace(token("t-1"), delay=0.3)
        for _ in range(20):
            owe(sender, tickets.url)
        claimed = claim_due(sender, dict.fromkeys(due_lanes(sender), 20)).deliveries
        with ThreadPoolExecutor(20) as threads:
            finished = list(threads.map(partial(attempt, sender), claimed))
        assert [one.verdict for one in finished] == [Delivered()] * 20
        assert len(endpoint.requests) == 1


def test_attempt_renews_one_token_for_its_lookup_and_its_request(
    sender: Kernel, tickets: Receiver
) -> None:
    asked = {"url": "/rows?number={{ reference }}", "match": "number", "value": "id"}
    shape = {"lookup": asked | {"equals": "{{ reference }}"}, "url": "/rows/{{ found }}"}
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint), shape=shape)
        endpoint.script(token("t-1"), token("t-2"), token("t-3"))
        row = Answer(200, body=b'[{"number": "INC1", "id": "a1"}]')
        tickets.script(401, row, 401, 200)
        owe(sender, "receiver:itsm", origin=tickets.url[:-1])
        [finished] = send_due(sender)
        assert (finished.status, len(tickets.wait(3)), len(endpoint.requests)) == (401, 3, 2)


def test_token_is_renewed_once_when_the_receiver_refuses_it(
    sender: Kernel, tickets: Receiver
) -> None:
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint))
        endpoint.script(token("t-1"), token("t-2"), token("t-3"))
        tickets.script(401, 200, 401, 401)
        owe(sender, tickets.url)
        [finished] = send_due(sender)
        assert finished.verdict == Delivered()
        used = [one.headers["authorization"] for one in tickets.wait(2)]
        assert (used, len(endpoint.requests)) == (["Bearer t-1", "Bearer t-2"], 2)
        owe(sender, tickets.url)
        [finished] = send_due(sender)
        assert (finished.status, finished.reason) == (401, "http_4xx")
        assert (len(tickets.wait(4)), len(endpoint.requests)) == (4, 3)


def test_delivery_says_what_the_token_endpoint_said_and_nothing_secret(
    sender: Kernel, tickets: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint))
        refusal = {"error": "invalid_client", "error_description": "hush-hush"}
        endpoint.default = Answer(401, body=json.dumps(refusal).encode())
        owe(sender, tickets.url)
        [finished] = send_due(sender)
    assert isinstance(finished.verdict, RetryIn)
    said = "the token endpoint answered 401 (invalid_client)"
    assert attempts(sender) == [(None, "token", said)]
    assert ("hush-hush" in caplog.text + repr(finished), tickets.requests) == (False, [])


def test_wait_that_the_token_endpoint_asks_for_counts_for_all_that_need_its_token(
    sender: Kernel, tickets: Receiver
) -> None:
    with Receiver(tls=("login.example",)) as endpoint:
        make_receiver(sender, "itsm", tickets.url, oauth(endpoint))
        endpoint.default = Answer(429, {"Retry-After": "7200"})
        for _ in range(2):
            owe(sender, tickets.url)
        finished = send_due(sender)
        assert len(endpoint.requests) == 1
    waits = [one.verdict.pause for one in finished if isinstance(one.verdict, RetryIn)]
    assert [wait >= timedelta(hours=2) for wait in waits] == [True, True]


def test_token_endpoint_is_vetted_like_any_receiver(sender: Kernel, tickets: Receiver) -> None:
    with Receiver(tls=("login.example",)) as endpoint:
        client = {"client_id": "kernel", "client_secret": SecretStr("hush-hush")}
        url = f"https://127.0.0.2:{endpoint.port}/token"
        login = OAuth2(token_url=url, grant="client_credentials", **client)
        make_receiver(sender, "itsm", tickets.url, Credentials(oauth2=login))
        owe(sender, tickets.url)
        send_due(sender)
        assert endpoint.connections == 0
    assert attempts(sender) == [(None, "token", "the token endpoint could not be asked: refused")]


def test_receiver_is_shown_its_client_certificate(sender: Kernel) -> None:
    with Receiver(tls=("hooks.example",), context=asking()) as receiver:
        receiver.default = name_the_client
        login = Credentials(client_certificate=ClientCertificate(*pair("kernel")))
        make_receiver(sender, "itsm", receiver.url, login)
        owe(sender, receiver.url)
        [finished] = send_due(sender)
    assert (finished.status, finished.excerpt) == (200, "kernel")


def test_certificate_that_cannot_be_used_is_told_in_words(
    sender: Kernel, tickets: Receiver
) -> None:
    login = Credentials(client_certificate=ClientCertificate("nothing", SecretStr("hush-hush")))
    make_receiver(sender, "itsm", tickets.url, login)
    owe(sender, tickets.url)
    send_due(sender)
    [(_, reason, judged)] = attempts(sender)
    assert (reason, tickets.requests) == ("tls", [])
    assert "certificate" in (judged or "")


def test_servicenow_signature_is_that_of_the_bytes_sent(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url, Credentials(sn_hmac=SecretStr("key")), shape=NOTE)
    owe(sender, tickets.url)
    send_due(sender)
    [request] = tickets.wait(1)
    signed = base64.b64encode(hmac.new(b"key", request.body, hashlib.sha256).digest()).decode()
    assert request.headers["x-sn-hmac-signature-256"] == signed
