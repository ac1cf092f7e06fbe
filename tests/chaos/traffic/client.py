"""Asks the API, again and again until it answers."""

import threading
import time
from typing import Any, NamedTuple

import requests

TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.3


class Answer(NamedTuple):
    """The status and the body of an answer, and when it was there."""

    code: int
    body: dict[str, Any]
    at: float


class Client:
    """Asks one API for one thread. ``given_up`` ends every asking."""

    def __init__(self, url: str, api_key: str, given_up: threading.Event) -> None:
        self._url, self._given_up = url, given_up
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {api_key}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer | None:
        """Ask once; None when nothing answers, or a 429 or 5xx does."""
        try:
            answer = self._session.request(
                method, f"{self._url}/v1{path}", json=body, timeout=TIMEOUT_SECONDS
            )
            said = answer.json()
        except (requests.RequestException, ValueError):
            return None
        if answer.status_code >= 500 or answer.status_code == 429:
            return None
        return Answer(answer.status_code, said, time.time())

    def insist(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer | None:
        """Ask until there is an answer; None when the run ends first."""
        while not self._given_up.is_set():
            if (answer := self.ask(method, path, body)) is not None:
                return answer
            self._given_up.wait(PAUSE_SECONDS)
        return None

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
