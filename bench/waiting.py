"""A handler that waits for 50 ms, like one that calls another system."""

import time
from typing import Any

from pydantic import BaseModel

from kernel.handlers import Handlers, Run

WORK_SECONDS = 0.05
handlers = Handlers()


class Wait(BaseModel, extra="allow"):
    """Takes any members and uses none."""


@handlers.register("wait", Wait)
def wait(run: Run, args: Wait) -> dict[str, Any]:
    """Wait for 50 ms and succeed."""
    time.sleep(WORK_SECONDS)
    return {}
