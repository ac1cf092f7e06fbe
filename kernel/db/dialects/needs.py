"""What this installation needs of its database, as its settings and its tables say."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

# What the service does with the rows of its tables; with those that it only adds to, the first two.
ADDS = ("SELECT", "INSERT")
CHANGES = ("UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of a database, at the start.

    ``tables``: the names of those whose rows are ours to keep, handlers' own included; ``own``: of
    the service's tables alone, with a column of each; ``added_to``: those of them whose rows it
    never changes.
    ``order_bytes`` and ``batch_bytes``: the longest statement that an order and a batch make.
    ``connections``: how many the processes of these settings may open.
    """

    tables: Set[str]
    own: Mapping[str, str]
    added_to: Set[str]
    order_bytes: int
    batch_bytes: int
    connections: int

    def too_few_connections(self, there: int) -> str | None:
        """Return a warning when a server with ``there`` connections has too few of them."""
        if self.connections <= there:
            return None
        return (
            f"max_connections is {there}, and the processes of these settings may open about "
            f"{self.connections} (8 for each of KERNEL_API_PROCESSES, 3 for each of "
            "KERNEL_WORKER_PROCESSES, 3 for a dispatcher): requests would be answered 503. Raise "
            "it, or run fewer processes"
        )
