"""The broker as an enemy: a thousand messages that no kernel has sent, in the real queue.

Nothing in the database changes, no file is made by a pickle, and the worker goes on working.
"""

import base64
import bz2
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
    codec = changes.pop("body_encoding", "base64")
    headers = {"lang": "py", "task": task, "id": UNKNOWN, "root_id": UNKNOWN, "argsrepr": "x\ny"}
    properties = {
        "correlation_id": UNKNOWN,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "orders"},
        "delivery_tag": UNKNOWN,
        "body_encoding": codec,
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


def by_celery(order_id: str) -> list[bytes]:
    """Messages with which Celery's own tasks, and its first protocol, run ours on their terms."""
    ours = {"task": "kernel.execute", "args": [], "kwargs": {}, "options": {}}
    hurry: dict[str, Any] = {"timelimit": [0.5, 0.5]}
    first = {"task": "kernel.execute", "id": UNKNOWN, "args": [order_id], "kwargs": {}, **hurry}
    first |= {"eta": None, "expires": None}
    return [
        message(asking(order_id), **hurry),
        message(asking(ours, [[order_id]]), task="celery.starmap", **hurry),
        message(json.dumps(first).encode()),
    ]


def unreadable(order_id: str) -> list[bytes]:
    """Messages whose body is not what it says, or far more than it seems."""
    names = ("starmap", "map", "group", "chord_unlock", "accumulate")
    kinds = [
        message(body, task=f"celery.{name}") for name in names for body in (b"7", b"null", b"{}")
    ]
    kinds += [message(asking(order_id), body_encoding=name) for name in ("rot13", "zlib", "x", "")]
    kinds += [message(bz2.compress(bytes(20_000_000)), compression="bzip2")]
    return kinds + [message(asking(order_id), compression=name) for name in ("zlib", "x", 7)]


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
    kinds += [*by_celery(order_id), *unreadable(order_id)]
    kinds += [message(asking(order_id), eta="2099-01-01T00:00:00+00:00")]
    kinds += [message(asking(order_id), eta="never"), message(asking(order_id), expires="never")]
    kinds += [message(asking(order_id), retries="x", group=7, reply_to="orders")]
    return kinds


NONE_AT_ALL = [b"", b"garbage", b"{}", b"[]", b"null", b"7", b"\xff\xfe\x00", b'{"body": 1}']
# kombu makes numbers, ids and times of these.
NONE_AT_ALL += [
    json.dumps({"__type__": kind, "__value__": value}).encode()
    for kind, value in (("decimal", "x"), ("uuid", 7), ("time", 7), ("bytes", 7), ([], 1))
]


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


def test_orders_wait_while_another_client_has_put_something_else_in_the_queues_place(
    stack: Stack,
) -> None:
    """It is as if the broker were away; with its end the worker works again, without a hand."""
    stack.api()
    with stack.redis.client(1) as client:
        client.set(stack.queue, "no list")
        worker = stack.start("worker", "kernel", "worker")
        wait_until(lambda: "wrong kind of value" in stack.log() and worker.returncode is None, 60)
        wait_until(lambda: "Unrecoverable error" in stack.log(), 60)
        client.delete(stack.queue)
        works(stack)
    assert worker.returncode is None


@pytest.mark.parametrize("way", [0, 1, 2])
@pytest.mark.parametrize(
    "stack", [{"handlers": "tests.support.handlers.misbehaving:handlers"}], indirect=True
)
def test_run_is_not_ended_when_a_message_forges_a_time_limit(stack: Stack, way: int) -> None:
    """Celery's own limits would kill the process; forged often enough, the order would fail."""
    stack.api()
    order_id = stack.submit("slow")
    with stack.redis.client(1) as client:
        client.delete(stack.queue)
        client.lpush(stack.queue, by_celery(order_id)[way])
    stack.worker()
    assert stack.finished(order_id)["result"] == {"run": 1}
