"""Lowers the CPU priority (nice) of worker processes below the API's: callers are answered first.

Where both need the processor, the API accepts a burst of orders at once, and workers then have a
long queue, which costs them less per order. Workers do not starve: nice leaves them a share.
"""

import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
# Names in the environment the process that has stepped back. Celery begins anew on SIGHUP by an
# exec: the process keeps its priority, its id and its environment.
DONE = "_KERNEL_STEPPED_BACK"


def step_back(nice: int) -> None:
    """Lower the priority of this process, and of what it will start, by ``nice`` (0 to 19), once.

    Linux by default makes a group of each session, and a process's own value then counts only
    within its group (sched(7), "The autogroup feature"). So the group's priority is lowered, too,
    if this process leads the session; that of a terminal stays. Best effort: where the system
    forbids it nothing changes.
    """
    if not nice or os.environ.get(DONE) == str(os.getpid()):
        return
    os.environ[DONE] = str(os.getpid())
    with suppress(OSError):
        os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(nice))
