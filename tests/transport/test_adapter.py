"""The headers of a request: those that are given, and the transport's own, each once."""

from collections.abc import Mapping

import pytest

from kernel.transport.adapter import prepare

OWN = {"Accept-Encoding": "identity", "Content-Length": "2"}
AGENT = {"User-Agent": "kernel-workorders"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, OWN | AGENT),
        (
            {"X-Api-Key": "k", "webhook-id": "m"},
            {"X-Api-Key": "k", "webhook-id": "m"} | OWN | AGENT,
        ),
        ({"user-agent": "mine"}, {"user-agent": "mine"} | OWN),
        ({"X-A": "1", "x-b": "2", "x-a": "3"}, {"x-a": "3", "x-b": "2"} | OWN | AGENT),
        ({"USER-AGENT": "1", "User-Agent": "2"}, {"User-Agent": "2"} | OWN),
        ({"accept-encoding": "br", "CONTENT-LENGTH": "9", "Proxy-Authorization": "x"}, OWN | AGENT),
    ],
)
def test_header_is_sent_once_and_the_transports_own_win(
    given: Mapping[str, str], sent: Mapping[str, str]
) -> None:
    assert dict(prepare("POST", "https://hooks.example/", given, b"{}").headers) == sent


def test_request_without_body_has_no_length() -> None:
    headers = prepare("GET", "https://hooks.example/", {}, None).headers
    assert dict(headers) == {"Accept-Encoding": "identity"} | AGENT
