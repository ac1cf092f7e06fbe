"""A handler that forks: its child ends, whatever it does, and its parent's run goes on alone."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import pytest
from sqlalchemy.exc import InvalidRequestError

from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write
from tests.support.together import Message

MakeKernel = Callable[..., Kernel]
# What a child ends with that has come back from the code of its handler.
CAME_BACK = 77


def leave(_run: Run) -> NoReturn:
    sys.exit(3)


def leave_with_words(_run: Run) -> NoReturn:
    sys.exit("gone")


def leave_aloud(_run: Run) -> NoReturn:
    raise ZeroDivisionError


def come_back(_run: Run) -> None:
    pass


def write_too(run: Run) -> NoReturn:
    with suppress(InvalidRequestError):
        write(run, "of the child")
        os._exit(1)
    sys.exit(3)


def checkpoint_too(run: Run) -> NoReturn:
    with suppress(InvalidRequestError), run.savepoint():
        write(run, "of the child")
        os._exit(1)
    with suppress(InvalidRequestError):
        run.checkpoint(1)
        os._exit(1)
    sys.exit(3)


CHILDREN = {leave: 3, leave_with_words: 1, leave_aloud: 1, come_back: 0, write_too: 3}
CHILDREN[checkpoint_too] = 3


def fork(run: Run, child: Callable[[Run], object]) -> dict[str, Any]:
    """Do something in a forked process; return its exit code."""
    pid = os.fork()
    if pid == 0:
        child(run)
        return {"is_child": True}
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


def run_all(kernel: Kernel, ids: list[str]) -> None:
    """Run orders; a child that comes out of it ends here, and not in the tests."""
    parent = os.getpid()
    try:
        list(execute_each(kernel, ids))
    finally:
        if os.getpid() != parent:
            os._exit(CAME_BACK)


def written(kernel: Kernel) -> list[str]:
    with kernel.read_session() as session:
        return sorted(names(session))


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.__name__)
def test_child_ends_and_its_parents_run_commits(
    make_kernel: MakeKernel, database_url: str, child: Callable[[Run], object]
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        return fork(run, child)

    kernel = make_kernel(database_url, registry)
    ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(2)]
    run_all(kernel, ids)
    found = [order(kernel, order_id) for order_id in ids]
    assert [(one.state, one.run) for one in found] == [("success", 1)] * 2
    assert [one.result for one in found] == [f'{{"code":{CHILDREN[child]}}}'] * 2
    assert written(kernel) == ["row", "row"]


@pytest.mark.parametrize("child", [leave, leave_aloud, come_back], ids=lambda one: one.__name__)
def test_child_of_a_step_ends(
    make_kernel: MakeKernel, database_url: str, child: Callable[[Run], object]
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        return dict(run.step("fork", fork, run, child))

    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    run_all(kernel, [order_id])
    found = order(kernel, order_id)
    assert (found.state, found.result) == ("success", f'{{"code":{CHILDREN[child]}}}')
    assert written(kernel) == ["row"]


def test_child_of_a_short_order_ends(make_kernel: MakeKernel, database_url: str) -> None:
    message = Message(make_kernel, database_url, count=3)
    message.does = {"1": lambda run: fork(run, leave)}
    run_all(message.kernel, message.ids)
    assert message.states == [("success", 1)] * 3
    assert message.written == message.names()
