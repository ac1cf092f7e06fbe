"""The headers of a callback."""

from datetime import datetime

from kernel.delivery.claim import DueDelivery
from kernel.formats.signing import headers

USER_AGENT = "kernel-workorders"


def _headers(due: DueDelivery, traceparent: str | None, now: datetime) -> dict[str, str]:
    follow = {"x-request-id": due.request_id, "traceparent": traceparent}
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **due.profile.headers,
        **{name: value for name, value in follow.items() if value is not None},
        **headers(due.profile.secrets, due.id, int(now.timestamp()), due.body),
    }
