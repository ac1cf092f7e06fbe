"""Writes down which conditions begin and end, and tells those who want to know."""

from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.known import note
from kernel.insight.conditions.look import look
from kernel.insight.conditions.notices.telling import tell_due
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


class NoteConditions:
    """Looks once a sweep. ``hints``: where the broker is asked; without it nothing is done.

    A command that sweeps knows no broker: it would end the condition that the broker is gone.
    """

    def __init__(self, hints: Hints | None) -> None:
        self._hints = hints

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Look, write what has changed, and send the notifications that are due."""
        if self._hints is None:
            return
        facts = look(kernel, self._hints.backlog)
        if facts.backlog is None:  # the database was away in between: nothing is known
            return
        note(kernel, judge(facts), facts.now)
        swept.failed |= tell_due(kernel, facts.now)
