"""The headers of one attempt: kernel's own with a fresh signature, and those of the shape."""

from datetime import datetime

from kernel.delivery.claim import DueDelivery
from kernel.formats.callback_headers import HeaderFacts, callback_headers
from kernel.formats.shapes.render import Rendered
from kernel.formats.signing import headers as signed_headers


def delivery_headers(due: DueDelivery, traceparent: str | None, now: datetime) -> dict[str, str]:
    """Return the headers of an attempt that is made ``now``, in the trace of ``traceparent``."""
    signed = _signed(due, due.body, now)
    return callback_headers(HeaderFacts(due.request_id, traceparent, signed), {})


def shaped_headers(
    due: DueDelivery, rendered: Rendered, traceparent: str | None, now: datetime
) -> dict[str, str]:
    """Return the headers of an attempt whose body a shape has made, which is what is signed."""
    signed = _signed(due, rendered.body, now)
    return headers_of(HeaderFacts(due.request_id, traceparent, signed), rendered)


def headers_of(facts: HeaderFacts, rendered: Rendered) -> dict[str, str]:
    """Return kernel's own headers, made of ``facts``, and those that a shape has made."""
    own = {name: value for name, value in rendered.headers.items() if name.lower() != _TYPE}
    headers = callback_headers(facts, own)
    made = {name.lower(): value for name, value in rendered.headers.items()}
    return headers | {_TYPE: made.get(_TYPE, headers[_TYPE])}


def _signed(due: DueDelivery, body: bytes, now: datetime) -> dict[str, str]:
    secrets = [one.get_secret_value() for one in due.profile.secrets]
    return signed_headers(secrets, due.id, int(now.timestamp()), body)


_TYPE = "content-type"
