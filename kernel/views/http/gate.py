"""How much a caller may ask for: requests per key, and orders that wait.

One gate per blueprint, so that two kernels in one application count apart. The views find it
through `flask.g`, as they find the request.
"""

import math
import time
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from flask import Blueprint, Flask, g
from flask_limiter import Limiter, RateLimitExceeded

from kernel.callers.identity import Identity, key_hash
from kernel.config.brokers.clients import budget, once, redis_pool
from kernel.config.brokers.urls import redis_urls
from kernel.config.checks import is_redis
from kernel.config.settings import Settings
from kernel.errors import TooManyRequests
from kernel.orders.backpressure import Pressure
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.http.client_address import read_address

# No request waits longer than this for the server that counts; then this process counts alone.
COUNTER_SECONDS = 0.1
# What an operator changes of a caller (its callback rules) is in force within this time.
KNOWN_SECONDS = 1.0


class Gate:
    """The limits of one blueprint: requests per key, pending orders per caller."""

    def __init__(self, kernel: Kernel) -> None:
        self.pressure = Pressure(kernel)
        # An old identity is never used while a new one is asked for: a caller's rules have changed.
        self._known = SingleFlightCache[Identity](KNOWN_SECONDS, serves_old=False)
        rate = kernel.settings.rate_limit
        self._limiter = _limiter(kernel.settings) if rate else None
        # One limit for all requests: Flask-Limiter keeps them by name, not by thread.
        self._hit = (
            None if self._limiter is None else self._limiter.shared_limit(rate, "api")(_pass)
        )

    def stand_before(self, blueprint: Blueprint) -> None:
        """Make `gate` return this for every request of ``blueprint``."""

        def open_gate() -> None:
            g.kernel_gate = self

        blueprint.before_request(open_gate)

    def remembered(self, key: str, ask: Callable[[], Identity]) -> Identity:
        """Return whose key this is, as ``ask`` said within the last second, or says now.

        Raises what ``ask`` raises; a wrong key is not remembered.
        """
        return self._known.get(ask, key_hash(key))

    def count(self, who: Identity) -> None:
        """Count one request of a known key. Raises TooManyRequests."""
        self._count(f"caller {who.caller_id}" if who.key_id is None else f"key {who.key_id}")

    def count_wrong_key(self, address: str) -> None:
        """Count a sign-in that failed, by where it came from. Raises TooManyRequests.

        Of IPv6 a client has all addresses of a /64, as many as it likes to try from.
        """
        found = read_address(address)
        if isinstance(found, IPv6Address):
            address = str(IPv6Network((int(found), 64), strict=False))
        self._count(f"address {address}")

    def _count(self, whose: str) -> None:
        if self._hit is None:
            return
        g.kernel_key = whose
        try:
            self._hit()
        except RateLimitExceeded as exceeded:
            amount = exceeded.limit.limit.amount
            raise TooManyRequests(limit=amount, retry_after=self._wait()) from None

    def _wait(self) -> int:
        """Return after how many seconds the next request is let through."""
        assert self._limiter is not None  # noqa: S101 - it has just refused one
        try:
            reached = self._limiter.current_limit
            return 1 if reached is None else max(1, math.ceil(reached.window[0] - time.time()))
        except Exception:  # noqa: BLE001 - the counting server went away meanwhile
            return 1


def gate() -> Gate | None:
    """Return the gate of the blueprint that serves this request; None outside of one."""
    found: Gate | None = g.get("kernel_gate")
    return found


def _pass() -> None:
    """What the limiter calls when a request is below the limit: nothing."""


def _limiter(settings: Settings) -> Limiter:
    """Build the limiter in an application of its own.

    It would read the RATELIMIT_* of the application it is given to and hook into every request
    there; what mounts our blueprint is to notice nothing of it.
    """
    url, options = _storage(settings)
    limiter = Limiter(
        lambda: str(g.kernel_key),
        storage_uri=url,
        storage_options=options,
        strategy="fixed-window",
        key_prefix="kernel",
        in_memory_fallback_enabled=True,
        swallow_errors=True,
    )
    limiter.init_app(Flask("kernel-limits"))
    return limiter


def _storage(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return where to count: in the broker's database if that is a Redis, else in this process."""
    given = settings.broker_url.get_secret_value()
    if not is_redis(given):
        return "memory://", {}
    options = {**budget(COUNTER_SECONDS), "retry": once()}
    return "redis://", {"connection_pool": redis_pool(redis_urls(given)[0], settings, **options)}
