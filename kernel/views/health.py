"""Is the process alive, and could it do its work?"""

from flask import Blueprint, Response

from kernel.errors import ConfigurationError, Unavailable
from kernel.runtime import Kernel
from kernel.views.errors import json_response


def health_blueprint(kernel: Kernel) -> Blueprint:
    """Build /healthz (this process answers) and /readyz (its database does, and fits)."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return json_response(200, {"status": "ok"})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        try:
            kernel.check_schema()
        except ConfigurationError as error:
            raise Unavailable(error.message, retry_after=2) from error
        except Unavailable as error:  # its message may name hosts and users; the log has it
            raise Unavailable(retry_after=2) from error
        return json_response(200, {"status": "ok"})

    return blueprint
