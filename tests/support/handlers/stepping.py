"""A registry whose one handler takes the steps that a test gives it, and an order of it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from sqlalchemy import select

from kernel.db.tables.orders import Order
from kernel.db.tables.steps import STEPS
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, CALLBACK, make_order, order

MakeKernel = Callable[..., Kernel]


class Stepped(BaseModel):
    """Nothing is needed; a secret may come along."""

    pin: SecretStr | None = None


def stepping(work: Callable[[Run], Any], **limits: Any) -> Handlers:
    """Register ``work`` as the handler of ``do``; what it returns is the result's ``of``."""
    registry = Handlers()

    @registry.register("do", Stepped, **limits)
    def do(run: Run, args: Stepped) -> dict[str, Any]:
        return {"of": work(run)}

    return registry


class Effects:
    """What was done elsewhere: a line for each call, in a file that outlives a process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "effects"
        self.file.touch()

    def do(self, name: str) -> str:
        """Do something of this name."""
        with self.file.open("a") as lines:
            lines.write(f"{name}\n")
        return name

    @property
    def done(self) -> list[str]:
        """The names, one after the other."""
        return self.file.read_text().split()


def die() -> None:
    """End this process by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Desk:
    """An order of such a handler, and its runs."""

    def __init__(
        self, make_kernel: MakeKernel, url: str, work: Callable[[Run], Any], **limits: Any
    ) -> None:
        self.kernel = make_kernel(url, stepping(work, **limits))
        self.order_id = make_order(self.kernel, select_tag="do", args="{}")

    def submit(self, **args: Any) -> None:
        """Have another order, with these arguments."""
        order = order_request(
            {"select_tag": "do", "callback_url": CALLBACK, **args}, self.kernel.handlers
        )
        self.order_id = submit(self.kernel, ANYBODY, order).order_id

    def run(self) -> Order:
        """Run the order, whose time has come; return its row."""
        self.kernel.clock.shift(2000)
        execute(self.kernel, self.order_id)
        return self.order

    @property
    def order(self) -> Order:
        """The order's row."""
        return order(self.kernel, self.order_id)

    @property
    def steps(self) -> list[Any]:
        """The rows of its steps."""
        mine = select(STEPS).where(STEPS.c.order_id == self.order_id).order_by(STEPS.c.number)
        with self.kernel.read() as connection:
            return list(connection.execute(mine))

    def told(self) -> list[tuple[str, int, bool]]:
        """Name, attempts, and whether it is done, of each step."""
        return [(one.name, one.attempts, one.done_at is not None) for one in self.steps]
