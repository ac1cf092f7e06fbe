"""The request headers that are the transport's: it sets them itself, or sends none of that name.

They decide framing, target, what is negotiated and what proxies are told. `kernel.transport.client`
drops them from what it is given; `kernel.callers.callback_rules` refuses them beforehand. Pure.
"""

# What the transport calls itself when it is given no name.
USER_AGENT = "kernel-workorders"
# RFC 9110 and 9112; cookies, because there is no session that they could belong to.
TRANSPORT_HEADERS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
    "upgrade", "expect", "accept-encoding", "cookie",
})  # fmt: skip
PROXY_PREFIX = "proxy-"


def is_transport_header(name: str) -> bool:
    """Tell whether a header, in any case, is set by the transport alone or never sent."""
    lower = name.lower()
    return lower in TRANSPORT_HEADERS or lower.startswith(PROXY_PREFIX)
