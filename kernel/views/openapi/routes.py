"""The API document, for programs at /openapi.json and for people at /docs, by Swagger UI.

It names the operator's tags, so it needs a key, or a session of the dashboard; a key that is
limited to tags is shown these alone. The page at /docs holds nothing of it: it asks for a key, and
gets the document with that.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, request, url_for

from kernel.callers.identity import Scope
from kernel.errors import Unauthenticated
from kernel.handlers import Handler
from kernel.runtime.kernel import Kernel
from kernel.views.html.rendering import Html, beside
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.sessions import Sessions

PATH = "/openapi.json"
Document = Callable[[Mapping[str, Handler], str], dict[str, Any]]


def document_blueprint(kernel: Kernel, document: Document) -> Blueprint:
    """Build the blueprint; ``document`` is given handlers, and where the API is served."""
    blueprint = Blueprint("document", __name__)

    @blueprint.get(PATH)
    def show_document() -> Response:
        who = identity(kernel, Scope.READ)
        shown = {tag: one for tag, one in kernel.handlers.items() if who.may_order(tag)}
        return json_response(200, document(shown, _server(PATH)))

    return blueprint


def docs_blueprint(kernel: Kernel, document: Document) -> Blueprint:
    """Build the blueprint of the page that shows the document, and lets people try it."""
    blueprint = Blueprint("docs", __name__, url_prefix="/docs")
    html, sessions = Html(blueprint, kernel), Sessions(kernel)

    def signed_in() -> bool:
        try:
            return bool(sessions.visitor())
        except Unauthenticated:
            return False

    @blueprint.get("")
    def show_docs() -> Response:
        known = signed_in()
        place = url_for(".show_document_here") if known else beside("document.show_document")
        return html.render("docs.html", place=place, signed_in=known)

    @blueprint.get(PATH)
    def show_document_here() -> Response:
        sessions.visitor()
        return json_response(200, document(kernel.handlers, _server("/docs" + PATH)))

    return blueprint


def _server(path: str) -> str:
    """Return the address that the API is served below, from that of this request."""
    return (request.script_root + request.path).removesuffix(path) or "/"
