"""What a caller's headers were before receivers: drafts, which an operator confirms or removes.

Until then the caller's callbacks are held, by a pause with the reason `adopt`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from kernel.callers import identity
from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.receiver_changes import Ground, confirm
from kernel.callers.receivers import Receiver, find, list_receivers
from kernel.db.tables.operating.pauses import Pause
from kernel.errors import Conflict
from kernel.pauses.changes import resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel

ADOPT = "adopt"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was confirmed, which drafts are left, and how many callbacks are due again."""

    confirmed: tuple[Receiver, ...]
    left: tuple[str, ...]
    released: int


def adopt(kernel: Kernel, caller: str, names: Sequence[str] = (), by: By = BY_SYSTEM) -> Adopted:
    """Confirm these drafts of a caller, or all; with the last one, its callbacks are due again.

    Raises NotFound, Conflict for a name that is no draft, and ValueError for a draft that could not
    work; then none is confirmed.
    """
    with kernel.write_session() as session:
        drafts = [one.name for _, one in list_receivers(session, caller) if one.is_draft]
        for name in names:
            if not find(session, caller, name).is_draft:
                raise Conflict(f"{name} is no draft")
        ground = ground_of(kernel)
        confirmed = tuple(confirm(session, caller, name, ground, by) for name in names or drafts)
    left = tuple(name for name in drafts if name not in {one.name for one in confirmed})
    return Adopted(confirmed, left, settle(kernel, caller, by))


def settle(kernel: Kernel, caller: str, by: By = BY_SYSTEM) -> int:
    """End the hold of a caller that has no drafts any more; return how many callbacks are due."""
    with kernel.read_session() as session:
        caller_id = identity.find(session, caller).id
        held = select(Pause.id).where(Pause.caller_id == caller_id, Pause.reason == ADOPT)
        drafts = any(one.is_draft for _, one in list_receivers(session, caller))
        if drafts or session.scalar(held) is None:
            return 0
    return resume(kernel, Subject(caller_id=caller_id), by=by).number


def ground_of(kernel: Kernel) -> Ground:
    """Return what stands beside every receiver of this installation, now."""
    return Ground(kernel.callback_policy, kernel.retry_policy, kernel.clock.now())
