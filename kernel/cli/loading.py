"""How the command line loads modules."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while modules are imported in the block, and never among them.

    None of it is garbage, and looking took a tenth of the time. A process that was forked and
    looked there would write to the memory that it shares with its parent.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
