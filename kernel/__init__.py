"""kernel stands between ticketing systems and the work they order.

    from kernel import Handlers, Reject, Run

An order is accepted when its row is committed; its work, its outcome and the callback it owes
are committed together. See docs/architecture.md.

Each export is loaded at its first use: a file of handlers, or one room on its own, loads neither
Flask nor Celery.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel.errors import Reject, Retry, TimeLimit
    from kernel.handlers import Handlers, Partial, Run, StepRetry, Wait
    from kernel.handlers.hosted import InApp, without_kernel
    from kernel.runtime.kernel import Kernel
    from kernel.views.app import create_app, create_blueprint, init_app

__all__ = [
    "Handlers",
    "InApp",
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
    "init_app",
    "without_kernel",
]

# The module that each export comes from.
_HOMES = {
    **dict.fromkeys(("Reject", "Retry", "TimeLimit"), "kernel.errors"),
    **dict.fromkeys(("Handlers", "Partial", "Run", "StepRetry", "Wait"), "kernel.handlers"),
    **dict.fromkeys(("InApp", "without_kernel"), "kernel.handlers.hosted"),
    "Kernel": "kernel.runtime.kernel",
    **dict.fromkeys(("create_app", "create_blueprint", "init_app"), "kernel.views.app"),
}


class _KeptTexts(SourceFileLoader):
    """Loads a module with its docstrings, which messages, help and the API document are made of.

    PYTHONOPTIMIZE=2 and `python -OO` leave them out. Compiled code that is kept may lack them, so
    none is read: such a process starts some seconds later.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source, without asserts and with docstrings."""
        source = self.get_data(self.path)
        return compile(source, self.path, "exec", dont_inherit=True, optimize=1)


class _KeptTextsFinder:
    """Finds the modules of this package for `_KeptTexts`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of one of our modules; None for those of others."""
        if not name.startswith("kernel."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _KeptTexts(spec.loader.name, spec.loader.path)
        return spec


if sys.flags.optimize > 1:
    sys.meta_path.insert(0, _KeptTextsFinder)

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
