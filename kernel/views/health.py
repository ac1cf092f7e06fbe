"""Is the process alive, and could the installation do its work?"""

import threading
import time

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from kernel.insight.readiness import check_database, workers_alive
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.errors import json_response

# Anybody may ask, so a flood of questions is not passed on.
CACHE_SECONDS = 1.0
# Without these no order can be accepted. Without a broker or a worker it can, and is done later.
NEEDED = ("database", "migrations")


class Readiness:
    """The checks of one process, and what they said in the last second."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._lock = threading.Lock()
        self._checks: dict[str, bool] = {}
        self._expires = 0.0

    def checks(self) -> dict[str, bool]:
        """Return every check by name: whether it is well.

        One thread asks; the others answer meanwhile what was known before. A server that lets
        us wait would otherwise hold every thread that answers requests.
        """
        if self._lock.acquire(blocking=not self._checks):
            try:
                if time.monotonic() > self._expires:
                    self._checks = self._ask()
                    self._expires = time.monotonic() + CACHE_SECONDS
            finally:
                self._lock.release()
        return self._checks

    def _ask(self) -> dict[str, bool]:
        checks = check_database(self._kernel)
        checks["broker"] = self._hints.backlog() is not None
        checks["worker"] = all(checks[name] for name in NEEDED) and self._worker_lives()
        return checks

    def _worker_lives(self) -> bool:
        try:
            return workers_alive(self._kernel) > 0
        except DBAPIError:  # away since the check before
            return False


def health_blueprint(kernel: Kernel, hints: Hints) -> Blueprint:
    """Build /healthz (this process answers) and /readyz (it could do its work)."""
    blueprint = Blueprint("health", __name__)
    readiness = Readiness(kernel, hints)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return json_response(200, {"status": "ok"})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        checks = readiness.checks()
        told = {name: "ok" if well else "failed" for name, well in checks.items()}
        if not all(checks[name] for name in NEEDED):
            return json_response(503, {"status": "failed", "checks": told}, {"Retry-After": "2"})
        status = "ok" if all(checks.values()) else "degraded"
        return json_response(200, {"status": status, "checks": told})

    return blueprint
