"""kernel stands between ticketing systems and the work they order.

    from kernel import Handlers, Reject, Run

An order is accepted when its row is committed; its work, its outcome and the callback it owes
are committed together. See docs/architecture.md.

Each export is loaded at its first use: a file of handlers, or one room on its own, loads neither
Flask nor Celery.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel.errors import Reject, Retry, TimeLimit
    from kernel.handlers import Handlers, Partial, Run, StepRetry, Wait
    from kernel.runtime.kernel import Kernel
    from kernel.views.app import create_app, create_blueprint

__all__ = [
    "Handlers",
    "Kernel",
    "Partial",
    "Reject",
    "Retry",
    "Run",
    "StepRetry",
    "TimeLimit",
    "Wait",
    "create_app",
    "create_blueprint",
]

# The module that each export comes from.
_HOMES = {
    **dict.fromkeys(("Reject", "Retry", "TimeLimit"), "kernel.errors"),
    **dict.fromkeys(("Handlers", "Partial", "Run", "StepRetry", "Wait"), "kernel.handlers"),
    "Kernel": "kernel.runtime.kernel",
    **dict.fromkeys(("create_app", "create_blueprint"), "kernel.views.app"),
}

# A request waits at most this many seconds for a database that has stopped answering.
REQUEST_SECONDS = 10


def __getattr__(name: str) -> Any:
    """Load an export, or make ``kernel.app``, on first use; from then on it is an attribute."""
    if name == "app":
        value = _application()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exports too, loaded or not."""
    return sorted({*globals(), *__all__})


def _application() -> Any:
    """Make the WSGI application of KERNEL_* and kernel.toml, for `gunicorn kernel:app`."""
    from kernel.config.logging import configure
    from kernel.runtime.kernel import Kernel
    from kernel.views.app import create_app

    kernel = Kernel.from_env(read_timeout=REQUEST_SECONDS)
    configure(kernel.settings.log_level)
    return create_app(kernel)
