"""Is the process alive, and could the installation do its work?"""

from flask import Blueprint, Response

from kernel.insight.conditions import rules
from kernel.insight.conditions.facts import Facts
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.look import vital
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.http.errors import json_response

# Needs no credentials, so a flood of requests must not reach the database.
CACHE_SECONDS = 1.0
# The checks by name, each with the rules that fail it: the rules of the overview and of the alerts.
CHECKS = {
    "database": {rules.DATABASE_GONE.key, rules.DATABASE_READ_ONLY.key},
    "migrations": {rules.SCHEMA_BEHIND.key, rules.DATABASE_GONE.key},
    "broker": {rules.BROKER_GONE.key},
    "worker": {rules.NO_WORKER.key},
}


class Readiness:
    """The checks of one process, made at most once a second."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._found = SingleFlightCache[Facts](CACHE_SECONDS)

    def ask(self) -> tuple[dict[str, bool], bool]:
        """Return every check by name, True when it passes, and whether orders can be accepted.

        At most a second old. While one thread asks, the others answer with the previous checks. A
        server that does not answer would otherwise hold every thread that serves requests.
        """
        facts = self._found.get(lambda: vital(self._kernel, self._hints.backlog))
        wrong = judge(facts)
        keys = {one.key for one in wrong}
        checks = {name: not keys & failing for name, failing in CHECKS.items()}
        # Without rows no process can be seen.
        checks["worker"] = checks["worker"] and facts.workers is not None
        return checks, not any(one.rule.stops for one in wrong)


def health_blueprint(kernel: Kernel, hints: Hints) -> Blueprint:
    """Build /healthz (this process answers) and /readyz (it could do its work)."""
    blueprint = Blueprint("health", __name__)
    readiness = Readiness(kernel, hints)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return json_response(200, {"status": "ok"})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        checks, accepts = readiness.ask()
        told = {name: "ok" if well else "failed" for name, well in checks.items()}
        if not accepts:
            return json_response(503, {"status": "failed", "checks": told}, {"Retry-After": "2"})
        status = "ok" if all(checks.values()) else "degraded"
        return json_response(200, {"status": status, "checks": told})

    return blueprint
