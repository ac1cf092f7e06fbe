"""The headers of one attempt: the caller's static ones, and kernel's own with a fresh signature."""

from datetime import datetime

from kernel.delivery.claim import DueDelivery
from kernel.formats.callback_headers import HeaderFacts, callback_headers
from kernel.formats.signing import headers as signed_headers


def delivery_headers(due: DueDelivery, traceparent: str | None, now: datetime) -> dict[str, str]:
    """Return the headers of an attempt that is made ``now``, in the trace of ``traceparent``."""
    signed = signed_headers(due.profile.secrets, due.id, int(now.timestamp()), due.body)
    return callback_headers(HeaderFacts(due.request_id, traceparent, signed), due.profile.headers)
