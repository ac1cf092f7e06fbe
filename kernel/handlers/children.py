"""The children of an order, as its handler sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kernel.handlers.run import Run


@dataclass(frozen=True, slots=True)
class Child:
    """An order that another one has made, as its row is now.

    ``result``: of one that ended with success or warning. ``error``: the code of one that failed or
    was cancelled; ``message`` says why. A child without both has not ended.
    """

    order_id: str
    select_tag: str
    state: str
    reference: str | None = None
    message: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None


class Children(Protocol):
    """The children of a run's order that are committed, in the order in which they were submitted.

    They are read while they are looked at, a hundred at a time: there may be thousands.
    """

    # What this run has committed and what may begin, to be hinted.
    due: list[str]

    def __iter__(self) -> Iterator[Child]: ...

    def __len__(self) -> int: ...

    def submit(self, run: "Run", members: Mapping[str, Any]) -> str:
        """Check a child and keep it for the run's next commit; see `Run.submit`."""
        ...

    def store(self, run: "Run") -> None:
        """Insert what was submitted, before anything else of a commit."""
        ...

    def mark(self, run: "Run") -> None:
        """Note in the order's row that it has children, right before a commit."""
        ...

    def forget(self) -> None:
        """Forget what was submitted since the last commit: the run is rolled back to there."""
        ...
