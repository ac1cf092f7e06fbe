"""Steps: the named pieces of a handler whose results are recorded, and when one is tried again."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kernel.db.states import Outcome
    from kernel.handlers.run import Run

NAME = re.compile(r"[!-~]{1,100}")
MAX_ATTEMPTS = 1000
MAX_PAUSE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class StepRetry:
    """When a step that failed is tried again: ``attempts`` in all, the first after ``after`` s.

    The pause doubles with each attempt, up to 15 minutes. The order is put back meanwhile and
    holds no worker. Raises TypeError or ValueError for arguments that are none of that.
    """

    attempts: int = 5
    after: float = 1.0

    def __post_init__(self) -> None:
        attempts: Any = self.attempts
        after: Any = self.after
        if not isinstance(attempts, int) or isinstance(attempts, bool):
            raise TypeError(f"StepRetry: attempts is an int, not {attempts!r:.100}")
        if not isinstance(after, int | float) or isinstance(after, bool):
            raise TypeError(f"StepRetry: after is a number of seconds, not {after!r:.100}")
        if not 1 <= attempts <= MAX_ATTEMPTS:
            raise ValueError(f"StepRetry: attempts is 1 to {MAX_ATTEMPTS}, not {attempts}")
        if not 0 <= after <= MAX_PAUSE_SECONDS:
            limit = f"0 to {MAX_PAUSE_SECONDS:g} s"
            raise ValueError(f"StepRetry: after is {limit}, not {after}")

    def pause(self, attempt: int) -> float | None:
        """Return after how many seconds the next attempt begins; None when there is none."""
        if attempt >= self.attempts:
            return None
        return float(min(MAX_PAUSE_SECONDS, self.after * 2.0 ** min(attempt - 1, 30)))


@dataclass(frozen=True, slots=True)
class StepCall:
    """A step as a handler asks for it."""

    name: str
    call: Callable[[], Any]
    retry: StepRetry | None
    secret: bool


class Steps(Protocol):
    """The steps of a run's order: what earlier runs have recorded, and what this one records."""

    def take(self, run: "Run", step: StepCall) -> Any:
        """Return what is recorded of a step, or do it and record that; see `Run.step`."""

    def key(self, run: "Run", name: str) -> str:
        """Return the idempotency key of a step; see `Run.key`."""

    def forget_secrets(self, run: "Run", outcome: "Outcome") -> None:
        """Delete secret results in the transaction of a success."""

    @property
    def secrets(self) -> Collection[str]:
        """What secret steps have given this run, or said in their errors, as texts."""

    @property
    def is_open(self) -> bool:
        """Whether a step's function is being called now."""


def check_name(name: Any) -> None:
    """Raise TypeError or ValueError for what no step can be called."""
    if not isinstance(name, str):
        raise TypeError(f"a step's name is a str, not {name!r:.100}")
    if not NAME.fullmatch(name):
        raise ValueError(f"a step's name is 1 to 100 visible ASCII characters, not {name!r:.200}")
