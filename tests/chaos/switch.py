"""A switch that takes one mechanism of kernel away: see `breaks` and `mends`."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """A switch: what it takes away, which faults that mechanism survives, what must be found.

    ``found`` is a kind of finding; ``words`` stand in one of that kind.
    """

    what: str
    faults: tuple[str, ...]
    found: str
    words: str
    patch: Callable[[], None]
    variant: str = "mariadb"
    # Longer than a healthy system needs to repair what these faults do.
    patience: float = 15.0
    # How many faults are injected at least: every one of ``faults`` once.
    times: int = 6
    # Beside a shop and a second installation, as `--quick` is.
    neighbours: bool = False
