"""The shop and the second installation, from before the first is made to after it has ended."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.checks.record import Finding
from tests.chaos.neighbours.second import Second, foreign_hints
from tests.chaos.neighbours.shop import Shop

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
# The handlers of the first, so that a switch of `tests.chaos.breaks` is thrown here as well.
HANDLERS = "tests.chaos.handlers:handlers"


class Neighbours:
    """Both of them. ``system``: the installation that they live beside."""

    def __init__(self, system: Any) -> None:
        self.system = system
        gunicorn = [str(BIN / "gunicorn"), "-c", str(ROOT / "gunicorn.conf.py"), "kernel:app"]
        commands = {"api": gunicorn, "worker": [str(BIN / "kernel"), "worker"]}
        shared = {"PYTHONPATH": str(ROOT), "CHAOS_BREAK": system.plan.broken}
        # Its hints are ids of orders: in the first's queue, they would be of none there.
        shared |= {"KERNEL_HANDLERS": HANDLERS}
        self.shop, self.second = Shop(system), Second(system, commands, shared)

    def move_in(self) -> None:
        """Make the shop's tables: kernel's are made beside them. The servers run."""
        self.shop.open()

    def start(self) -> None:
        """Have both work."""
        self.second.open()
        self.second.start()
        self.shop.start()

    def half_way(self) -> None:
        """The shop goes over to its second release while everything else goes on."""
        self.shop.renew()

    def tick(self) -> None:
        """Start again what has ended of the second."""
        self.second.tick()

    def stop_ordering(self) -> None:
        """Sell and order nothing more."""
        self.shop.stop()
        self.second.stop_submitting()

    def is_quiet(self) -> bool:
        """Tell whether all that was ordered has ended."""
        return self.second.is_quiet()

    def check(self) -> Iterator[Finding]:
        """All that is not as it was left, or not as it was promised."""
        yield from self.shop.check()
        yield from self.second.check()
        yield from foreign_hints("first", self.system.folder)

    def figures(self) -> dict[str, int]:
        """What they did."""
        return self.shop.figures() | self.second.figures()

    def close(self) -> None:
        """Leave nothing running."""
        self.shop.close()
        self.second.close()


class Nobody:
    """A run without neighbours."""

    def move_in(self) -> None: ...

    def start(self) -> None: ...

    def half_way(self) -> None: ...

    def tick(self) -> None: ...

    def stop_ordering(self) -> None: ...

    def is_quiet(self) -> bool:
        return True

    def check(self) -> Iterator[Finding]:
        return iter(())

    def figures(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...
