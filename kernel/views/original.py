"""The original system's addresses, for the clients it already has.

``POST /test/add/`` submits; the answer is HTTP 200, the envelope's status telling: 2 accepted, -1
refused. Other HTTP statuses stand for what the original's clients cannot mend by another order:
401 without credentials, and 503 with Retry-After while the database is away, so that they try
again. The callback receiver at ``/test/callback/`` logs and echoes what it got.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from kernel.callers.identity import Scope
from kernel.db.states import OrderState
from kernel.errors import InvalidJson, RequestRefused
from kernel.formats.envelope import envelope
from kernel.formats.strictjson import parse_json
from kernel.formats.texts import text
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response, refusal_body
from kernel.views.http.requests import accept, read_body

log = logging.getLogger(__name__)

LOGGED = 1000


def original_blueprint(kernel: Kernel, hints: Hints) -> Blueprint:
    """Build the blueprint of the original's addresses for ``kernel``."""
    blueprint = Blueprint("original", __name__, url_prefix="/test")
    language = kernel.settings.language

    @blueprint.post("/add/")
    def add() -> Response:
        who = identity(kernel, Scope.WRITE)
        try:
            # Its clients never said what content they send.
            members = parse_json(read_body(kernel.settings.max_body_bytes))
            accepted = accept(kernel, who, members)
        except RequestRefused as refused:
            return json_response(200, refusal_body(refused, language))
        hints.hint([accepted.order_id])
        data = _named(members) | {"order_id": accepted.order_id}
        state = OrderState.PENDING
        return json_response(200, envelope(state.wire_status, text(state, language), data))

    @blueprint.route("/callback/", methods=["GET", "POST"])
    def callback() -> Response:
        identity(kernel, Scope.WRITE)
        got = _received(kernel.settings.max_body_bytes)
        log.info("callback received: %s", json.dumps(got, ensure_ascii=False)[:LOGGED])
        return json_response(200, envelope(0, text("success", language), got))

    return blueprint


def _named(members: Mapping[str, Any]) -> dict[str, Any]:
    """What the original answered for the one kind of order it had."""
    if members["select_tag"] != "create_project" or "projname" not in members:
        return {}
    return {"项目中文名称": members["projname"]}


def _received(limit: int) -> Any:
    if request.method != "POST":
        return request.args.to_dict()
    body = read_body(limit)
    try:
        return parse_json(body)
    except InvalidJson:
        return body.decode("utf-8", "replace")
