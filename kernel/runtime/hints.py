"""Where hints go: the seam between the stages and a broker."""

from collections.abc import Sequence
from typing import Protocol

from kernel.db.states import Outcome

# In place of an order's id: orders wait whose hints were left out, for the queue of hints is long.
# A message with it asks a worker to look at the rows. No id is like it.
MORE = "more"


class Hints(Protocol):
    """Where hints go; see `kernel.worker.broker.Broker`."""

    def hint(self, order_ids: Sequence[str]) -> None:
        """Hint that these orders are due. Never waits."""
        ...

    def backlog(self) -> int | None:
        """Return how many hints wait in the broker, or None when it cannot be asked."""
        ...

    def finished(self, order_id: str, outcome: Outcome) -> None:
        """Show how an order ended, to clients that read results from the broker."""
        ...
