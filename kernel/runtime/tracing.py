"""Spans of submits, runs and attempts, for whoever collects them. Off, it costs a function call.

OpenTelemetry is imported with KERNEL_OTEL=on only; see `kernel.runtime.otel`.
"""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from kernel.config.settings import Settings
from kernel.formats.tracecontext import child_of

Kind = Literal["server", "consumer", "client"]
Attribute = str | int | bool


class Span(Protocol):
    """One piece of work, while it lasts."""

    @property
    def traceparent(self) -> str | None:
        """What whoever is called from here goes on with."""
        ...

    def note(self, failed: bool = False, **attributes: Attribute | None) -> None:
        """Add attributes (``order_id`` becomes ``kernel.order_id``); say whether it failed."""
        ...


class Tracer(Protocol):
    """Where spans go."""

    def span(self, name: str, kind: Kind, parent: str | None) -> AbstractContextManager[Span]:
        """Open a span below the traceparent ``parent``, for the length of a block."""
        ...

    def flush(self) -> None:
        """Send what is collected: the process is about to end."""
        ...


class Hop(AbstractContextManager["Hop"]):
    """No span: the trace is passed on, and to another host by an id of our own."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def note(self, failed: bool = False, **attributes: Attribute | None) -> None:
        """Do nothing."""


class Untraced:
    """Collects nothing and passes traces on."""

    def span(self, name: str, kind: Kind, parent: str | None) -> Hop:
        """Collect nothing."""
        return Hop(child_of(parent) if kind == "client" else parent)

    def flush(self) -> None:
        """Do nothing."""


def make_tracer(settings: Settings) -> Tracer:
    """Return what the settings ask for."""
    if settings.otel == "off":
        return Untraced()
    from kernel.runtime.otel import (
        Collected,  # OpenTelemetry is an extra: imported where it is asked for
    )

    return Collected.from_environment()
