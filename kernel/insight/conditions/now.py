"""What is wrong now and since when, for pages and terminals: the facts, the rules and the rows."""

from collections.abc import Callable

from kernel.db.errors import DATABASE_ERRORS
from kernel.insight.backlog import Backlog
from kernel.insight.conditions.facts import Facts
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.known import since_when, with_since
from kernel.insight.conditions.look import Asking, look
from kernel.insight.conditions.rules import Condition
from kernel.runtime.kernel import Kernel


def wrong_now(
    kernel: Kernel, asking: Asking = None, counted: Callable[[], Backlog] | None = None
) -> tuple[list[Condition], Facts]:
    """Return what is wrong, the worst first, and the facts. Raises nothing: see `look`."""
    facts = look(kernel, asking, counted)
    found = judge(facts)
    if not found or not facts.database.is_usable:
        return found, facts
    try:
        with kernel.read() as connection:
            return with_since(found, since_when(connection)), facts
    except DATABASE_ERRORS:  # away since
        return found, facts
