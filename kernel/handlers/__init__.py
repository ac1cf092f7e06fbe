"""The one extension point: a registry of the functions that do the work, by select_tag.

    handlers = Handlers()

    @handlers.register("create_project", CreateProject)
    def create_project(run: Run, args: CreateProject) -> dict: ...

This room knows nothing of queues, HTTP or how a run is claimed and finished.
"""

from pydantic import ValidationError

from kernel.handlers.children import Child, Children
from kernel.handlers.events import Event, Wait
from kernel.handlers.loading import load_handlers
from kernel.handlers.registry import Handler, Handlers
from kernel.handlers.run import Partial, Progress, Run, SaveCheckpoint
from kernel.handlers.soft_limit import SoftLimit
from kernel.handlers.steps import StepCall, StepRetry

__all__ = [
    "Child",
    "Children",
    "Event",
    "Handler",
    "Handlers",
    "Partial",
    "Progress",
    "Run",
    "SaveCheckpoint",
    "SoftLimit",
    "StepCall",
    "StepRetry",
    "ValidationError",
    "Wait",
    "load_handlers",
]
