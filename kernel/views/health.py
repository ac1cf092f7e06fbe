"""Is the process alive, and could the installation do its work?"""

from flask import Blueprint, Response

from kernel.db.errors import DATABASE_ERRORS
from kernel.insight.readiness import check_database, workers_alive
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.http.errors import json_response

# Needs no credentials, so a flood of requests must not reach the database.
CACHE_SECONDS = 1.0
# Without these no order can be accepted. Without a broker or a worker it can, and is done later.
NEEDED = ("database", "migrations")


class Readiness:
    """The checks of one process, made at most once a second."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._checks = SingleFlightCache[dict[str, bool]](CACHE_SECONDS)

    def checks(self) -> dict[str, bool]:
        """Return every check by name, True when it passes; at most a second old.

        While one thread asks, the others answer with the previous checks. A server that does not
        answer would otherwise hold every thread that serves requests.
        """
        return self._checks.get(self._ask)

    def _ask(self) -> dict[str, bool]:
        checks = check_database(self._kernel)
        checks["broker"] = self._hints.backlog() is not None
        checks["worker"] = all(checks[name] for name in NEEDED) and self._worker_lives()
        return checks

    def _worker_lives(self) -> bool:
        try:
            return workers_alive(self._kernel) > 0
        except DATABASE_ERRORS:  # away since the check before
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
