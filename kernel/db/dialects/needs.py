"""What this installation needs of its database, as its settings and its tables say."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from operator import itemgetter

# What the service does with the rows of its tables; with those that it only adds to, the first two.
ADDS = ("SELECT", "INSERT")
CHANGES = ("UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of a database, at the start.

    ``tables``: schema (None: the connection's) and name of those whose rows are ours to keep,
    handlers' own included; ``own``: names of the service's tables alone, with a column of each;
    ``added_to``: those of them whose rows it never changes.
    ``order_bytes`` and ``batch_bytes``: the longest statement that an order and a batch make.
    ``connections``: how many the processes of these settings may open.
    """

    tables: Set[tuple[str | None, str]]
    own: Mapping[str, str]
    added_to: Set[str]
    order_bytes: int
    batch_bytes: int
    connections: int

    @property
    def schemas(self) -> list[str]:
        """The schemas of tables that name theirs."""
        return sorted({schema for schema, _ in self.tables if schema is not None})

    @property
    def names(self) -> list[str]:
        """The names of tables, with which another schema's may have theirs in common."""
        return sorted({name for _, name in self.tables})

    def keeps(self, schema: str, name: str, *, is_default: bool) -> bool:
        """Tell whether that table is one of `tables`; ``is_default``: found without its schema."""
        return (schema, name) in self.tables or (is_default and (None, name) in self.tables)

    def too_few_connections(self, limits: Mapping[str, int]) -> str | None:
        """Return a warning when the lowest of a server's ``limits``, by their names, is too low."""
        name, there = min(limits.items(), key=itemgetter(1))
        if self.connections <= there:
            return None
        return (
            f"{name} is {there}, and the processes of these settings may open about "
            f"{self.connections} (8 for each of KERNEL_API_PROCESSES, 3 for each of "
            "KERNEL_WORKER_PROCESSES, 3 for a dispatcher): requests would be answered 503. Raise "
            "it, or run fewer processes"
        )
