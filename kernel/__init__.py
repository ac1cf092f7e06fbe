"""kernel stands between ticketing systems and the work they order.

    from kernel import Handlers, Reject, Run

An order is accepted when its row is committed; its work, its outcome and the callback it owes
are committed together. See docs/architecture.md.
"""

from typing import Any

from kernel.config.logging import configure
from kernel.errors import Reject, Retry
from kernel.handlers import Handlers, Partial, Run
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_app, create_blueprint

__all__ = [
    "Handlers",
    "Kernel",
    "Partial",
    "Reject",
    "Retry",
    "Run",
    "create_app",
    "create_blueprint",
]

# No request waits longer than this for a database that has stopped answering.
REQUEST_SECONDS = 10


def __getattr__(name: str) -> Any:
    """Make ``kernel.app``, the WSGI application of KERNEL_* and kernel.toml, on first use."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kernel = Kernel.from_env(read_timeout=REQUEST_SECONDS)
    configure(kernel.settings.log_level)
    application = create_app(kernel)
    globals()["app"] = application
    return application
