"""GET /v1/orders/{id}: how the steps of an order stand, and which order it runs again."""

from sqlalchemy import event

from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, serve
from tests.support.factories import make_order, make_step
from tests.support.people.dashboard import operator_key


def test_steps_are_told_without_what_came_of_them(kernel: Kernel) -> None:
    order_id = make_order(kernel, state="failed", error_code="no_room", message="full")
    make_step(kernel, order_id, 1, "vm", result='{"password": "hush"}')
    ended = {"done_at": None, "result": None, "error": "hush", "attempts": 3}
    make_step(kernel, order_id, 2, "dns", **ended)
    make_step(kernel, order_id, 3, "mail", done_at=None, result=None, duration_ms=None)
    make_step(kernel, order_id, 4, "bill", done_at=None, attempts=0, duration_ms=None)
    data = Client(serve(kernel), operator_key(kernel)).get(f"/v1/orders/{order_id}").json["data"]
    assert [(one["name"], one["state"], one["attempts"]) for one in data["steps"]] == [
        ("vm", "done", 1),
        ("dns", "failed", 3),
        ("mail", "begun", 1),
        ("bill", "pending", 0),
    ]
    assert [one["duration_ms"] for one in data["steps"]] == [1500, 1500, None, None]
    assert "hush" not in str(data)
    assert "rerun_of" not in data


def test_order_without_steps_asks_and_says_nothing_of_them(kernel: Kernel) -> None:
    order_id = make_order(kernel, checkpoint=3)
    caller = Client(serve(kernel), operator_key(kernel))
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    for engine in set(kernel.engines[1:]):
        event.listen(engine, "before_cursor_execute", note)
    data = caller.get(f"/v1/orders/{order_id}").json["data"]
    for engine in set(kernel.engines[1:]):
        event.remove(engine, "before_cursor_execute", note)
    assert "steps" not in data
    assert any(str(ORDERS.name) in one for one in said)
    assert not any("kernel_steps" in one or "kernel_gates" in one for one in said)
