"""GET /openapi.json: the API document. It names the operator's tags, so it needs a key, too."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from kernel.auth import Scope
from kernel.runtime import Kernel
from kernel.views.errors import json_response
from kernel.views.requests import identity

PATH = "/openapi.json"


def document_blueprint(kernel: Kernel, document: Callable[[str], dict[str, Any]]) -> Blueprint:
    """Build the blueprint; ``document`` is given the address that the API is served below."""
    blueprint = Blueprint("document", __name__)

    @blueprint.get(PATH)
    def show_document() -> Response:
        identity(kernel, Scope.READ)
        server = (request.script_root + request.path).removesuffix(PATH)
        return json_response(200, document(server or "/"))

    return blueprint
