"""Errors that cannot be told: every look at them raises, and the order ends all the same."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.submit import submit
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, CALLBACK, order
from tests.support.handlers.misbehaving import write

MakeKernel = Callable[..., Kernel]


class Plain(BaseModel):
    """Nothing to hide."""

    name: str = "row"


class Hidden(Plain):
    """A secret, which is looked for in what an error says."""

    pin: SecretStr = SecretStr("")


class WithoutNotes(Exception):
    """Of these, Python's own traceback cannot be made."""

    @property
    def __notes__(self) -> list[str]:
        raise ValueError


class Leaving(Exception):
    """It ends who asks what it says."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class Interrupting(BaseException):
    """It interrupts who asks for its traceback."""

    @property
    def __notes__(self) -> list[str]:
        raise KeyboardInterrupt


@pytest.mark.parametrize("model", [Plain, Hidden])
@pytest.mark.parametrize("kind", [WithoutNotes, Leaving, Interrupting])
def test_order_ends_at_once_whose_error_cannot_be_told(
    make_kernel: MakeKernel, database_url: str, kind: type[BaseException], model: type[Plain]
) -> None:
    registry = Handlers()

    @registry.register("do", model, together=model is Plain)
    def do(run: Run, args: Any) -> dict[str, Any]:
        write(run, args.name)
        if args.name == "bad":
            raise kind
        return {}

    kernel = make_kernel(database_url, registry)
    secret = {"pin": "7319"} if model is Hidden else {}
    ids = []
    for name in ("good", "bad", "also good"):
        members = {"select_tag": "do", "callback_url": CALLBACK, "name": name} | secret
        taken = submit(kernel, ANYBODY, order_request(members, registry))
        ids.append(taken.order_id)
    ends = list(execute_each(kernel, ids))
    assert sorted(end.order_id for end in ends) == sorted(ids)
    found = [order(kernel, order_id) for order_id in ids]
    assert [(one.state, one.run) for one in found] == [
        ("success", 1),
        ("failed", 1),
        ("success", 1),
    ]
    assert found[1].error_code == "internal_error"
    assert kernel.running == {}
