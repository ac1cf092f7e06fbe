"""Spans of submit, run and attempt, with OpenTelemetry's own collector in memory; and without."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.runtime.kernel import Kernel
from kernel.runtime.otel import Collected
from kernel.runtime.tracing import Untraced, make_tracer
from kernel.testing import FakeTransport, drain
from tests.support.clients import Client, client
from tests.support.clients import handlers as api_handlers
from tests.support.factories import make_order
from tests.support.handlers.misbehaving import handlers
from tests.support.receiver import Receiver

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], sqlite_url: str, spans: InMemorySpanExporter
) -> Kernel:
    kernel = make_kernel(sqlite_url, api_handlers)
    trace(kernel, spans)
    return kernel


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def trace(kernel: Kernel, spans: InMemorySpanExporter) -> None:
    """Have the kernel's spans collected."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    kernel.tracer = Collected(provider)


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def span_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parent_id(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def followed(kernel: Kernel, zammad: Client, **headers: str) -> None:
    """Submit an order and do everything that is due."""
    body = {"select_tag": "anything", "callback_url": "https://receiver.example/"}
    assert zammad.post("/v1/orders", json=body, headers=headers).status_code == 202
    drain(kernel)


def test_spans_stand_below_the_callers_when_it_sent_a_traceparent(
    kernel: Kernel, zammad: Client, spans: InMemorySpanExporter
) -> None:
    followed(kernel, zammad, traceparent=GIVEN)
    found = by_name(spans)
    submit = found["kernel.submit"]
    assert parent_id(submit) == PARENT
    assert {parent_id(found[name]) for name in ("kernel.run", "kernel.attempt")} == {
        span_id(submit)
    }
    assert {f"{one.context.trace_id:032x}" for one in found.values() if one.context} == {TRACE}


def test_spans_are_one_trace_when_the_caller_sent_none(
    kernel: Kernel, zammad: Client, spans: InMemorySpanExporter
) -> None:
    followed(kernel, zammad)
    found = by_name(spans)
    assert set(found) == {"kernel.submit", "kernel.run", "kernel.attempt"}
    assert len({one.context.trace_id for one in found.values() if one.context}) == 1


def test_callback_carries_the_span_of_its_attempt_when_it_is_sent(
    kernel: Kernel, zammad: Client, spans: InMemorySpanExporter
) -> None:
    followed(kernel, zammad, traceparent=GIVEN)
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    sent = transport.sent[0].headers["traceparent"]
    assert sent == f"00-{TRACE}-{span_id(by_name(spans)['kernel.attempt'])}-01"


def test_span_of_a_run_tells_what_it_came_to_when_it_failed(
    make_kernel: Callable[..., Kernel], sqlite_url: str, spans: InMemorySpanExporter
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    trace(kernel, spans)
    make_order(kernel, select_tag="reject", args='{"name": "x"}')
    drain(kernel)
    run = by_name(spans)["kernel.run"]
    told: dict[str, Any] = dict(run.attributes or {})
    assert (told["kernel.outcome"], told["kernel.select_tag"]) == ("failed", "reject")
    assert not run.status.is_ok


def test_opentelemetry_is_not_imported_by_us_when_it_is_off() -> None:
    code = "import sys, kernel; from kernel.runtime.kernel import Kernel; Kernel.from_env().tracer"
    # redis-py imports the API and the SDK's metrics wherever it finds them.
    code += "; print({'kernel.runtime.otel', 'opentelemetry.exporter'} & set(sys.modules))"
    assert run_python(code) == "set()\n"


def test_setting_is_refused_when_opentelemetry_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"kernel-workorders\[otel\]"):
        load(otel="on")


def test_nothing_is_collected_by_default() -> None:
    assert isinstance(make_tracer(load()), Untraced)


def test_spans_are_exported_where_the_environment_says_when_it_is_on() -> None:
    code = (
        "from kernel.runtime.kernel import Kernel; tracer = Kernel.from_env().tracer\n"
        "with tracer.span('kernel.run', 'consumer', None): pass\n"
        "tracer.flush()"
    )
    with Receiver() as receiver:
        endpoint = receiver.url.rstrip("/")
        run_python(code, KERNEL_OTEL="on", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint)
        (request,) = receiver.wait(1)
    assert b"kernel.run" in request.body
    assert b"kernel-workorders" in request.body


def run_python(code: str, **env: str) -> str:
    """Run a program in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ".", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
