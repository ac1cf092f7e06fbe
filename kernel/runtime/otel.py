"""Spans for OpenTelemetry, imported with KERNEL_OTEL=on only; see `kernel.runtime.tracing`.

OpenTelemetry's own variables say where they go (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER and so on), unless the process has set a provider before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SERVICE = "kernel-workorders"
FLUSH_MILLIS = 3000
KINDS: dict[str, trace.SpanKind] = {
    "server": trace.SpanKind.SERVER,
    "consumer": trace.SpanKind.CONSUMER,
    "client": trace.SpanKind.CLIENT,
}
_W3C = TraceContextTextMapPropagator()


class Recorded:
    """A span that OpenTelemetry records."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """The traceparent to send with requests made within this span."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get("traceparent")

    def note(self, failed: bool = False, **attributes: str | int | bool | None) -> None:
        """Add attributes, prefixed with ``kernel.``; mark a failed span."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(f"kernel.{name}", value)
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)


class Collected:
    """Gives spans to an OpenTelemetry provider."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("kernel")

    @classmethod
    def from_environment(cls) -> Self:
        """Use the provider of this process; if there is none, make one that OTEL_* configures."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            name = OTELResourceDetector().detect().attributes.get("service.name", SERVICE)
            provider = TracerProvider(resource=Resource.create({"service.name": name}))
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(provider)
        return cls(trace.get_tracer_provider())

    @contextmanager
    def span(self, name: str, kind: str, parent: str | None) -> Iterator[Recorded]:
        """Open a span below ``parent``; spans opened within the block are its children."""
        context = _W3C.extract({} if parent is None else {"traceparent": parent})
        with self._tracer.start_as_current_span(name, context, KINDS[kind]) as span:
            yield Recorded(span)

    def flush(self) -> None:
        """Send the spans still held in memory; wait at most 3 s."""
        if isinstance(self._provider, TracerProvider):
            self._provider.force_flush(FLUSH_MILLIS)
