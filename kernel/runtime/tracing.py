"""Spans of submits, runs and attempts. With KERNEL_OTEL=off a span costs a function call.

OpenTelemetry is imported with KERNEL_OTEL=on only; see `kernel.runtime.otel`.
"""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from kernel.config.settings import Settings
from kernel.formats.tracecontext import child_of

Kind = Literal["server", "consumer", "client"]
Attribute = str | int | bool


class Span(Protocol):
    """A submit, run or attempt in progress."""

    @property
    def traceparent(self) -> str | None:
        """The traceparent to send with requests made within this span."""
        ...

    def note(self, failed: bool = False, **attributes: Attribute | None) -> None:
        """Add attributes (``order_id`` becomes ``kernel.order_id``); mark a failed span."""
        ...


class Tracer(Protocol):
    """Opens spans and sends them to a collector."""

    def span(self, name: str, kind: Kind, parent: str | None) -> AbstractContextManager[Span]:
        """Open a span below the traceparent ``parent``, for the length of a block."""
        ...

    def flush(self) -> None:
        """Send the spans still held in memory. Called before the process ends."""
        ...


class Hop(AbstractContextManager["Hop"]):
    """Records no span and passes the trace on; to another host with a new parent id."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def note(self, failed: bool = False, **attributes: Attribute | None) -> None:
        """Do nothing."""


class Untraced:
    """Records no spans and passes traces on."""

    def span(self, name: str, kind: Kind, parent: str | None) -> Hop:
        """Return a Hop, which records nothing."""
        return Hop(child_of(parent) if kind == "client" else parent)

    def flush(self) -> None:
        """Do nothing."""


def make_tracer(settings: Settings) -> Tracer:
    """Return the tracer that KERNEL_OTEL selects."""
    if settings.otel == "off":
        return Untraced()
    from kernel.runtime.otel import (
        Collected,  # OpenTelemetry is an extra: imported only when it is switched on
    )

    return Collected.from_environment()
