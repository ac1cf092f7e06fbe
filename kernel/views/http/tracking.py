"""What is done around every request: an id for it, a count and a time, ids in its log lines."""

import time

from flask import Blueprint, Flask, Response, g, request

from kernel.config.logging import bound, rebind
from kernel.formats.tracecontext import UNTRACED, Trace, request_id_from, traceparent_from
from kernel.insight.process_metrics import WRITE_SECONDS, LateWriter
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import REQUEST_SECONDS, REQUESTS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_ID = "X-Request-ID"


def track(target: Flask | Blueprint, kernel: Kernel, write_seconds: float = WRITE_SECONDS) -> None:
    """Follow every request of ``target``; one that is followed already is left alone.

    Counts are written ``write_seconds`` after the first request.
    """
    writer = LateWriter(kernel, write_seconds)

    def begin() -> None:
        if "kernel_trace" in g:
            return
        g.kernel_began = time.perf_counter()
        trace = Trace(
            request_id_from(request.headers.get(REQUEST_ID)),
            traceparent_from(request.headers.get("traceparent")),
        )
        g.kernel_trace, g.kernel_bound = trace, bound()
        rebind({"request_id": trace.request_id})

    def end(response: Response) -> Response:
        began = g.pop("kernel_began", None)
        if began is not None:
            response.headers[REQUEST_ID] = g.kernel_trace.request_id
            _count(kernel, response.status_code, time.perf_counter() - began)
            writer.write_soon()
        return response

    def leave(_: BaseException | None) -> None:
        before = g.pop("kernel_bound", None)
        if before is not None:
            rebind(before)

    target.before_request(begin)
    target.after_request(end)
    target.teardown_request(leave)


def trace_of_request() -> Trace:
    """Return what the current request is followed by."""
    found: Trace = g.get("kernel_trace", UNTRACED)
    return found


def _count(kernel: Kernel, status: int, seconds: float) -> None:
    """Count by route template and known method: addresses and invented methods are endless."""
    route = "other" if request.url_rule is None else request.url_rule.rule
    method = request.method if request.method in METHODS else "other"
    kernel.metrics.count(REQUESTS, method, route, str(status))
    kernel.metrics.observe(REQUEST_SECONDS, seconds, method, route)
