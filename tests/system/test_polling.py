"""Callers that wait for an order's end at a real server, and those that do not."""

import os
import signal
import threading
import time

import requests

from kernel.views.http.long_polls import PLACES
from tests.support.stack import Stack
from tests.support.waiting import wait_until


def test_quarter_of_the_threads_may_wait_and_the_rest_answers(stack: Stack) -> None:
    """Forty callers wait for orders that nobody runs; a submit is answered beside them."""
    server = stack.api()
    order_id = stack.post(
        "/v1/orders",
        {"select_tag": "create_project", "callback_url": None, "projname": "x"},
    ).json()["data"]["order_id"]
    took: list[float] = []

    def ask() -> None:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {stack.key}"}
        url = f"http://127.0.0.1:{stack.port}/v1/orders/{order_id}?wait=30"
        answer = requests.get(url, headers=headers, timeout=60)
        assert answer.status_code == 202
        took.append(time.monotonic() - began)

    waiting = [threading.Thread(target=ask) for _ in range(40)]
    for one in waiting:
        one.start()
    wait_until(lambda: len(took) == 40 - PLACES, 25)
    stack.submit("create_project", projname="y")
    assert len(took) == 40 - PLACES  # the others wait still
    os.kill(server.pid, signal.SIGTERM)
    for one in waiting:
        one.join(10)
    # The server answered those that waited before it ended: none of them lost its connection.
    assert len(took) == 40


def test_caller_that_waits_is_answered_when_the_worker_has_done_it(stack: Stack) -> None:
    stack.api()
    stack.worker()
    members = {"select_tag": "create_project", "callback_url": None, "projname": "x"}
    for _ in range(5):
        order_id = stack.post("/v1/orders", members).json()["data"]["order_id"]
        answer = stack.get(f"/v1/orders/{order_id}?wait=9")
        assert (answer.status_code, answer.json()["data"]["state"]) == (200, "success")
    assert not stack.receiver.requests
