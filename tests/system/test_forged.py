"""The broker as an enemy: a thousand messages that no kernel has sent, in the real queue.

Nothing in the database changes, no file is made by a pickle, and the worker goes on working.
"""

import base64
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.stack import Stack
from tests.support.waiting import wait_until

UNKNOWN = "01900000-0000-7000-8000-000000000000"
MESSAGES = 1000
TABLES = (
    *("kernel_orders", "kernel_deliveries", "kernel_attempts", "kernel_callers"),
    *("kernel_api_keys", "project_tb_project"),
)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))


def message(body: bytes, task: Any = "kernel.execute", **changes: Any) -> bytes:
    """A message as Celery would put it into Redis, with ``changes`` in its headers."""
    outer = {"content-type": "application/json", "content-encoding": "utf-8"}
    outer |= {name: changes.pop(name) for name in ("content-type",) if name in changes}
    headers = {"lang": "py", "task": task, "id": UNKNOWN, "root_id": UNKNOWN, "argsrepr": "x\ny"}
    properties = {
        "correlation_id": UNKNOWN,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "orders"},
        "delivery_tag": UNKNOWN,
        "body_encoding": "base64",
    }
    whole = {
        "body": base64.b64encode(body).decode(),
        **outer,
        "headers": headers | changes,
        "properties": properties,
    }
    return json.dumps(whole).encode()


def asking(*args: Any, **embed: Any) -> bytes:
    """The body of a message that asks for a task with these arguments."""
    return json.dumps([args, {}, {"callbacks": None, "chain": None, **embed}]).encode()


def forged(order_id: str, bomb: Path) -> list[bytes]:
    """One of each kind."""
    pickled = pickle.dumps(((order_id,), {}, Bomb(bomb)))
    again = {"task": "kernel.execute", "args": [order_id], "kwargs": {}, "options": {}}
    bodies = [order_id, UNKNOWN, "", "x" * 65, "x" * 100_000, "' OR 1=1 -- ", "\0", "😀", "../x"]
    bodies += [None, 7, 7.5, True, [order_id], {"id": order_id}, [[[[]]]]]  # type: ignore[list-item]
    kinds = [message(asking(one)) for one in bodies]
    kinds += [message(asking()), message(asking(order_id, order_id)), message(b"[]")]
    kinds += [message(asking(*[UNKNOWN, order_id, None] * 30_000))]
    kinds += [message(b"{"), message(b"\xff\xfe"), message(b"[" * 100_000), message(b"null")]
    for kind in ("application/x-python-serialize", "application/x-yaml", "text/plain", "x/y", ""):
        kinds.append(message(pickled, **{"content-type": kind}))
    kinds += [
        message(asking(order_id), task=name) for name in ("os.system", "", None, 7, "x" * 999)
    ]
    kinds += [message(asking(order_id, chain=[again], callbacks=[again], errbacks=[again]))]
    kinds += [message(asking(order_id), timelimit=[0.001, 0.001])]
    kinds += [message(asking(order_id), eta="2099-01-01T00:00:00+00:00")]
    kinds += [message(asking(order_id), eta="never"), message(asking(order_id), expires="never")]
    kinds += [message(asking(order_id), retries="x", group=7, reply_to="orders")]
    return kinds


NONE_AT_ALL = [b"", b"garbage", b"{}", b"[]", b"null", b"7", b"\xff\xfe\x00", b'{"body": 1}']


def everything(stack: Stack) -> dict[str, Any]:
    """Every row of the tables that matter."""
    with stack.kernel.read_session() as session:
        return {name: session.execute(text(f"SELECT * FROM {name}")).all() for name in TABLES}


def key_use_is_written(stack: Stack) -> bool:
    """Whether the API has noted, behind its answers, that a key was used."""
    with stack.kernel.read_session() as session:
        return bool(session.scalar(text("SELECT COUNT(used_at) FROM kernel_api_keys")))


def flood(stack: Stack, messages: list[bytes]) -> None:
    """Put them into the queue, and wait until the worker has taken them all."""
    with stack.redis.client(1) as client:
        for one in messages:
            client.lpush(stack.queue, one)
        wait_until(lambda: client.llen(stack.queue) == 0, 60, "an empty queue")


def works(stack: Stack) -> None:
    """A new order goes all the way."""
    order_id = stack.submit("create_project", projname="after")
    assert stack.finished(order_id)["state"] == "success"
    stack.callback(order_id)


@pytest.mark.slow
def test_nothing_changes_when_a_thousand_forged_messages_arrive(
    stack: Stack, tmp_path: Path
) -> None:
    stack.api()
    worker = stack.worker()
    order_id = stack.submit("create_project", projname="mine")
    stack.callback(order_id)
    wait_until(lambda: stack.show(order_id)["deliveries"][0]["state"] == "delivered")
    wait_until(lambda: key_use_is_written(stack))
    before = everything(stack)
    kinds = forged(order_id, tmp_path / "bomb")
    many = random.Random(4).choices(kinds, k=MESSAGES - len(kinds)) + kinds
    flood(stack, many)
    assert everything(stack) == before
    assert not (tmp_path / "bomb").exists()
    assert worker.returncode is None
    assert stack.log().count("ready.") == 1, "the worker was started again"
    works(stack)


def test_worker_lives_on_when_the_queue_holds_what_is_no_message(stack: Stack) -> None:
    stack.api()
    worker = stack.worker()
    flood(stack, NONE_AT_ALL * 5)
    works(stack)
    assert worker.returncode is None
    assert stack.log().count("ready.") == 1, "the worker was started again"


def test_worker_lives_on_when_a_message_is_giant(stack: Stack) -> None:
    stack.api()
    stack.worker()
    flood(stack, [message(asking("x" * 20_000_000)), message(b"x" * 20_000_000)])
    works(stack)


@pytest.mark.parametrize(
    "stack", [{"handlers": "tests.support.handlers.misbehaving:handlers"}], indirect=True
)
def test_run_is_not_ended_when_a_message_forges_a_time_limit(stack: Stack) -> None:
    """Celery's own limits would kill the process; forged often enough, the order would fail."""
    stack.api()
    order_id = stack.submit("slow")
    with stack.redis.client(1) as client:
        client.delete(stack.queue)
        client.lpush(stack.queue, message(asking(order_id), timelimit=[0.5, 0.5]))
    stack.worker()
    assert stack.finished(order_id)["result"] == {"run": 1}
