"""The broker that tests use: it remembers what it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kernel.db.states import Outcome
from kernel.handlers import Run


@dataclass
class FakeHints:
    """Remembers what a broker would have been told.

    ``waiting``: how many hints it says wait in its queue; None when it does not answer.
    """

    waiting: int | None = 0
    hinted: list[str] = field(default_factory=list)
    ended: list[tuple[str, Outcome]] = field(default_factory=list)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes shown last, by order."""
        return dict(self.ended)

    def hint(self, order_ids: Sequence[str]) -> None:
        self.hinted += order_ids

    def backlog(self) -> int | None:
        return self.waiting

    def finished(self, order_id: str, outcome: Outcome) -> None:
        self.ended.append((order_id, outcome))

    def flush(self, seconds: float) -> bool:
        return True

    def running(self, runs: list[Run]) -> None:
        """Progress is shown to no client."""
