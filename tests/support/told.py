"""What routes about errors and notifications need, by method and rule: values, and a body."""

from collections.abc import Callable
from typing import Any

from kernel.callers import receiver_changes
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.insight.conditions.notices import rows as notices
from kernel.insight.failures import errors
from kernel.pauses.adoption import ground_of
from kernel.runtime.kernel import Kernel
from tests.support.failures import make_error

Needs = Callable[[Kernel], tuple[dict[str, Any], Any]]


def error(kernel: Kernel, *, resolved: bool = False) -> dict[str, str]:
    """Failures of one kind, open or resolved."""
    fingerprint = make_error(kernel)
    if resolved:
        errors.resolve(kernel, fingerprint)
    return {"fingerprint": fingerprint}


def notice(kernel: Kernel) -> dict[str, str]:
    """A rule of notifications, and its receiver."""
    notices.add(kernel, "night", "chat")
    with kernel.write_session() as session:
        patch = ReceiverPatch(url="https://tickets.example/")
        receiver_changes.add(session, notices.CALLER, "chat", patch, ground_of(kernel))
    return {"name": "night"}


_BOTH: dict[str, Needs] = {
    "/errors/<fingerprint>/resolve": lambda k: (error(k), {}),
    "/errors/<fingerprint>/reopen": lambda k: (error(k, resolved=True), {}),
    "/notifications": lambda _: ({}, {"name": "night", "receiver": "chat"}),
    "/notifications/<name>/test": lambda k: (notice(k), {}),
}
TOLD: dict[tuple[str, str], Needs] = {
    **{("POST", f"/v1{rule}"): needs for rule, needs in _BOTH.items()},
    **{("POST", f"/dashboard{rule}"): needs for rule, needs in _BOTH.items()},
    ("DELETE", "/v1/notifications/<name>"): lambda k: (notice(k), None),
    ("POST", "/dashboard/notifications/<name>/remove"): lambda k: (notice(k), {}),
}
