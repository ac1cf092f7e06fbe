"""Children: made in their parent's commit, waited for, and cancelled with it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from kernel.db.tables.orders import ORDERS
from kernel.errors import InvalidOrder, Reject
from kernel.handlers import Handlers, Run, Wait
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders
from kernel.runs.execute import execute
from kernel.runs.leases import renew_leases
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.sweep import sweep
from tests.support.clients import Client, new_key, serve
from tests.support.factories import order as stored
from tests.support.factories import rows

handlers = Handlers()


class Parts(BaseModel):
    """How many children, and which of them fails."""

    count: int = 2
    bad: int = -1
    mode: str = "wait"


class Part(BaseModel):
    """A child's number."""

    number: int
    pin: SecretStr | None = None


@handlers.register("part", Part)
def part(run: Run, args: Part) -> dict[str, Any]:
    if args.number < 0:
        raise Reject("bad_part", "this part is bad")
    pin = args.pin
    return {"number": args.number, "pin": len(pin.get_secret_value()) if pin else 0}


@handlers.register("whole", Parts)
def whole(run: Run, args: Parts) -> dict[str, Any] | Wait:
    if not run.children:
        for n in range(args.count):
            number = -1 if n == args.bad else n
            run.submit("part", number=number, pin=SecretStr("1234"), reference=f"part {n}")
        if args.mode == "bug":
            raise RuntimeError("undone")
        if args.mode == "leave":
            return {}
        return Wait.children()
    return {
        "children": [[one.reference, one.state, one.error, one.result] for one in run.children],
        "run": run.number,
    }


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def on_file(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def children(kernel: Kernel) -> list[str]:
    return sorted(row.id for row in rows(kernel, ORDERS) if row.select_tag == "part")


def states(kernel: Kernel) -> list[str]:
    return sorted(row.state for row in rows(kernel, ORDERS))


def test_parent_goes_on_with_the_outcomes_of_its_children(kernel: Kernel) -> None:
    parent = order(kernel, "whole", count=3, bad=1)
    end = execute(kernel, parent)
    assert end is not None
    assert end.waits
    assert sorted(end.woken) == children(kernel)  # to be hinted, after the commit
    assert stored(kernel, parent).state == "waiting"
    drain(kernel)
    found = stored(kernel, parent)
    assert (found.state, found.run) == ("success", 2)
    said = kernel.transport.sent[-1].json()["data"]["result"]
    assert said == {
        "children": [
            ["part 0", "success", None, {"number": 0, "pin": 4}],
            ["part 1", "failed", "bad_part", None],
            ["part 2", "success", None, {"number": 2, "pin": 4}],
        ],
        "run": 2,
    }
    assert len(kernel.transport.sent) == 1  # children have no callbacks of their own


def test_nothing_is_left_of_children_when_their_run_is_rolled_back(on_file: Kernel) -> None:
    parent = order(on_file, "whole", mode="bug")
    drain(on_file, raise_bugs=False)
    assert stored(on_file, parent).error_code == "internal_error"
    assert children(on_file) == []


def test_children_go_on_when_their_parent_ends_before_them(on_file: Kernel) -> None:
    parent = order(on_file, "whole", mode="leave")
    assert execute(on_file, parent) is not None
    assert states(on_file) == ["pending", "pending", "success"]
    drain(on_file)
    assert states(on_file) == ["success"] * 3


def test_parent_goes_on_at_once_when_its_children_have_ended(on_file: Kernel) -> None:
    @handlers_of(on_file).register("late", Parts)
    def late(run: Run, args: Parts) -> dict[str, Any] | Wait:
        if run.number > 1:
            return {"ended": [one.state for one in run.children]}
        run.submit("part", number=1)
        run.checkpoint(1)
        assert [one.state for one in run.children] == ["pending"]
        assert execute(on_file, children(on_file)[0]) is not None
        return Wait.children()

    parent = order(on_file, "late")
    end = execute(on_file, parent)
    assert end is not None
    assert end.again_in == 0
    drain(on_file)
    assert stored(on_file, parent).result == '{"ended":["success"]}'


def handlers_of(kernel: Kernel) -> Handlers:
    """The kernel's handlers as a registry of its own."""
    mine = Handlers()
    for one in kernel.handlers.values():
        mine.register(one.tag, one.model)(one.function)
    kernel.handlers = mine
    return mine


def test_child_that_no_order_can_be_is_refused_where_it_is_submitted(on_file: Kernel) -> None:
    refused: list[Any] = []

    @handlers_of(on_file).register("tries", Parts)
    def tries(run: Run, args: Parts) -> dict[str, Any]:
        for tag, members in (
            ("part", {"number": "one"}),
            ("nobody's", {}),
            ("part", {"number": 1, "callback_url": "ftp://x"}),
        ):
            with pytest.raises(InvalidOrder) as caught:
                run.submit(tag, **members)
            refused.append(caught.value.data["errors"][0]["pointer"])
        with pytest.raises(TypeError):
            run.submit("part", number=object())
        return {}

    order(on_file, "tries")
    drain(on_file)
    assert refused == ["/number", "/select_tag", "/callback_url"]
    assert states(on_file) == ["success"]


def test_run_that_works_on_after_a_submit_keeps_its_lease_and_can_be_cancelled(
    kernel: Kernel,
) -> None:
    """A handler of a minute: no lock of its children's stands in the way meanwhile."""
    found: list[Any] = []

    @handlers_of(kernel).register("long", Parts)
    def long(run: Run, args: Parts) -> dict[str, Any]:
        run.submit("part", number=1)
        if kernel.engine.dialect.name != "sqlite":  # whose one writer this run is not yet
            run.session.connection()
        with ThreadPoolExecutor(1) as other:
            other.submit(renew_leases, kernel, [run]).result(5)
            found.append(other.submit(cancel, kernel, None, run.order_id).result(5))
        found.append(run.lost)
        run.checkpoint(1)
        return {}

    parent = order(kernel, "long")
    drain(kernel)
    assert found == ["running", False]
    assert stored(kernel, parent).state == "cancelled"
    assert children(kernel) == []


def test_cancel_goes_down_to_children_and_to_theirs(kernel: Kernel) -> None:
    @handlers_of(kernel).register("deep", Parts)
    def deep(run: Run, args: Parts) -> dict[str, Any] | Wait:
        if not run.children and args.count:
            run.submit("deep", count=args.count - 1)
            run.submit("part", number=1)
        return Wait.children()

    parent = order(kernel, "deep", count=2)
    for _ in range(2):
        [execute(kernel, one) for one in due_orders(kernel, 10) if one not in children(kernel)]
    assert states(kernel) == ["pending", "pending", "pending", "waiting", "waiting"]
    assert cancel(kernel, None, parent) == "cancelled"
    assert states(kernel) == ["cancelled"] * 5
    assert cancel(kernel, None, parent) == "cancelled"


def test_last_children_that_end_together_wake_their_parent_once(kernel: Kernel) -> None:
    for _ in range(3):
        parent = order(kernel, "whole", count=3)
        end = execute(kernel, parent)
        assert end is not None
        with ThreadPoolExecutor(3) as threads:
            ends = [one for one in threads.map(lambda one: execute(kernel, one), end.woken) if one]
        woken = [one.parent.woken for one in ends if one.parent is not None]
        assert woken == [(parent,)]
        assert stored(kernel, parent).state == "pending"


def test_child_that_ends_while_its_parent_goes_to_wait_is_not_missed(kernel: Kernel) -> None:
    """The child's end is committed at any moment of the parent's last transaction."""
    go = threading.Event()

    @handlers_of(kernel).register("racing", Parts)
    def racing(run: Run, args: Parts) -> dict[str, Any] | Wait:
        if run.number > 1:
            return {}
        run.submit("part", number=1)
        run.checkpoint(1)
        go.set()
        return Wait.children()

    def child() -> None:
        assert go.wait(30)
        execute(kernel, children(kernel)[-1])

    for _ in range(4):
        go.clear()
        parent = order(kernel, "racing")
        with ThreadPoolExecutor(1) as other:
            ended = other.submit(child)
            execute(kernel, parent)
            ended.result(60)
        assert stored(kernel, parent).state == "pending"
        drain(kernel)
        assert stored(kernel, parent).state == "success"


def test_sweep_wakes_a_parent_whose_child_ended_unseen(on_file: Kernel) -> None:
    parent = order(on_file, "whole", count=1)
    execute(on_file, parent)
    (child,) = children(on_file)
    end = execute_alone(on_file, child)
    assert end == "success"
    assert stored(on_file, parent).state == "waiting"
    assert parent in sweep(on_file, rescue=False).rescued
    assert stored(on_file, parent).state == "pending"


def execute_alone(kernel: Kernel, child: str) -> str:
    """Run a child in a process that dies right after its commit: its parent is not asked for."""
    from kernel.runs import execute as module

    kept, module.with_parent = module.with_parent, lambda _kernel, end: end
    try:
        execute(kernel, child)
    finally:
        module.with_parent = kept
    return stored(kernel, child).state


def test_api_tells_of_parents_and_children(on_file: Kernel) -> None:
    zammad = Client(serve(on_file), new_key(on_file, "zammad"))
    answer = zammad.post(
        "/v1/orders", json={"select_tag": "whole", "count": 3, "callback_url": None}
    )
    parent = answer.json["data"]["order_id"]
    execute(on_file, parent)
    execute(on_file, children(on_file)[0])
    shown = zammad.get(f"/v1/orders/{parent}").json["data"]
    assert shown["children"] == {"pending": 2, "success": 1}
    child = zammad.get(f"/v1/orders/{children(on_file)[1]}").json["data"]
    assert child["parent"] == parent
    listed = zammad.get(f"/v1/orders?batch={parent}").json["data"]["orders"]
    assert [one["order_id"] for one in listed] == list(reversed(children(on_file)))
    pending = zammad.get(f"/v1/orders?batch={parent}&state=pending&limit=1").json["data"]
    assert [one["order_id"] for one in pending["orders"]] == children(on_file)[2:]
