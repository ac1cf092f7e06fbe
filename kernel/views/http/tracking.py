"""What is done around every request: an id for it, a count and a time, ids in its log lines."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from kernel.config.logging import bound, rebind
from kernel.formats.tracecontext import UNTRACED, Trace, request_id_from, traceparent_from
from kernel.insight.process_metrics import WRITE_SECONDS, LateWriter
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import REQUEST_SECONDS, REQUESTS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_ID = "X-Request-ID"


@dataclass(slots=True)
class _Followed:
    """When a request began (monotonic), its trace, and what log lines carried before it."""

    began: float
    trace: Trace
    before: Mapping[str, Any]
    is_counted: bool = False


def track(target: Flask | Blueprint, kernel: Kernel, write_seconds: float = WRITE_SECONDS) -> None:
    """Follow every request of ``target``; one that is followed already is left alone.

    Counts are written ``write_seconds`` after the first request.
    """
    writer = LateWriter(kernel, write_seconds)

    def begin() -> None:
        if "kernel_followed" in g:
            return
        began, headers = time.perf_counter(), request.headers
        trace = Trace(
            request_id_from(headers.get(REQUEST_ID)),
            traceparent_from(headers.get("traceparent")),
        )
        g.kernel_followed = _Followed(began, trace, bound())
        rebind({"request_id": trace.request_id})

    def end(response: Response) -> Response:
        followed: _Followed | None = g.get("kernel_followed")
        if followed is not None and not followed.is_counted:
            followed.is_counted = True
            response.headers[REQUEST_ID] = followed.trace.request_id
            _count(kernel, response.status_code, time.perf_counter() - followed.began)
            writer.write_soon()
        return response

    def leave(_: BaseException | None) -> None:
        followed = g.pop("kernel_followed", None)
        if followed is not None:
            rebind(followed.before)

    target.before_request(begin)
    target.after_request(end)
    target.teardown_request(leave)


def trace_of_request() -> Trace:
    """Return what the current request is followed by."""
    followed: _Followed | None = g.get("kernel_followed")
    return UNTRACED if followed is None else followed.trace


def _count(kernel: Kernel, status: int, seconds: float) -> None:
    """Count by route template and known method: addresses and invented methods are endless."""
    rule, method = request.url_rule, request.method
    route = "other" if rule is None else rule.rule
    method = method if method in METHODS else "other"
    kernel.metrics.count(REQUESTS, method, route, str(status))
    kernel.metrics.observe(REQUEST_SECONDS, seconds, method, route)
