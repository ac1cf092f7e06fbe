"""Work that waits: a handler of 50 ms, as one that asks another system."""

import time
from typing import Any

from pydantic import BaseModel

from kernel.handlers import Handlers, Run

WORK_SECONDS = 0.05
handlers = Handlers()


class Wait(BaseModel, extra="allow"):
    """Nothing that matters."""


@handlers.register("wait", Wait)
def wait(run: Run, args: Wait) -> dict[str, Any]:
    """Wait, and be done."""
    time.sleep(WORK_SECONDS)
    return {}
