"""Which processes are at work, what each runs, and what people have asked of it."""

from kernel.insight.workers.heartbeat import Heartbeat, Running, forget_silent, host_name
from kernel.insight.workers.processes import Process, processes, target_of

__all__ = [
    "Heartbeat",
    "Process",
    "Running",
    "forget_silent",
    "host_name",
    "processes",
    "target_of",
]
