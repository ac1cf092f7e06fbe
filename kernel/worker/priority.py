"""What runs behind the scenes steps back: callers are answered first, then handlers go on.

Where both need the processor, the API takes a burst of orders at once while workers have a long
queue, which costs them less per order. Nothing starves: a share is left to whoever stepped back.
"""

import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")


def step_back(nice: int) -> None:
    """Lower the priority of this process, and of what it will start, by ``nice`` (0 to 19).

    Linux by default makes a group of each session, and a process's own value then counts within
    its group alone (sched(7), "The autogroup feature"). So the group's is lowered, too, if it is
    ours: the group of a terminal is not. Best effort: where it is forbidden nothing changes.
    """
    if not nice:
        return
    with suppress(OSError):
        os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(nice))
