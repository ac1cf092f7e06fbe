"""Which processes are at work, what each runs, and what people have asked of it."""

from kernel.insight.workers.heartbeat import Heartbeat, Running, forget_silent, host_name
from kernel.insight.workers.processes import Process, is_silent, processes, target_of

__all__ = [
    "Heartbeat",
    "Process",
    "Running",
    "forget_silent",
    "host_name",
    "is_silent",
    "processes",
    "target_of",
]
