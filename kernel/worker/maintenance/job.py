"""What a maintenance job tells the dispatcher that ran it, for hints and the result mirror."""

from dataclasses import dataclass, field

from kernel.db.states import OrderState, Outcome
from kernel.formats.texts import text as message
from kernel.runtime.kernel import Kernel


@dataclass(slots=True)
class Swept:
    """What a sweep did."""

    rescued: list[str] = field(default_factory=list)
    failed: dict[str, Outcome] = field(default_factory=dict)


def failure(kernel: Kernel, code: str) -> Outcome:
    """Return the outcome of an order that ends outside a run, with the text of ``code``."""
    return Outcome(OrderState.FAILED, message(code, kernel.settings.language), error_code=code)
