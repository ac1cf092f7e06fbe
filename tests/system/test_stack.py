"""The main job on real servers and real processes."""

from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult
from standardwebhooks.webhooks import Webhook

from tests.support.stack import Stack
from tests.support.waiting import wait_until

ROWS = [{"projname": f"project {n}"} for n in range(197)] + [{"projname": ""}] * 3
MISBEHAVING = pytest.mark.parametrize(
    "stack", [{"handlers": "tests.support.handlers.misbehaving:handlers"}], indirect=True
)


@pytest.mark.parametrize("command", ["kernel", "celery"])
def test_orders_are_worked_off_and_called_back_with_either_command(
    stack: Stack, command: str
) -> None:
    stack.api()
    stack.worker(command)
    created = stack.submit("create_project", key="k1", projname="Brücke 桥 🌉")
    imported = stack.submit("import_projects", projects=ROWS)
    again = stack.submit("create_project", key="k1", projname="Brücke 桥 🌉")
    rejected = stack.submit("create_project", projname=" ")
    assert again == created
    assert stack.finished(created)["result"] == {"projname": "Brücke 桥 🌉"}
    assert stack.finished(imported)["state"] == "warning"
    assert stack.finished(rejected)["state"] == "failed"
    for order_id, status in ((created, 0), (imported, 1), (rejected, -1)):
        received = stack.callback(order_id)
        body = Webhook(stack.secret).verify(received.body, dict(received.headers))
        assert body["status"] == status


@MISBEHAVING
def test_result_is_mirrored_for_celery_clients_when_orders_run(stack: Stack) -> None:
    stack.api()
    stack.worker()
    client = Celery(broker=stack.redis.url(1), backend=stack.redis.url(2), set_as_current=False)
    slow = AsyncResult(stack.submit("slow"), app=client)

    def progress() -> Any:
        meta = slow.backend.get_task_meta(slow.id)
        return meta["status"] == "PROGRESS" and meta["result"]

    assert wait_until(progress).keys() == {"current", "total", "status"}
    wait_until(lambda: slow.state == "SUCCESS", 30)
    assert slow.result == {"run": 1}
    failed = AsyncResult(stack.submit("reject"), app=client)
    wait_until(lambda: failed.state == "FAILURE", 30)
    assert failed.result.args == ("no_room", "there is no room")
    client.close()
