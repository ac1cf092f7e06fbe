"""The original system's addresses, for the clients it already has.

``POST /test/add/`` submits and always answers HTTP 200, the envelope's status telling; the
callback receiver at ``/test/callback/`` logs and echoes what it got.
"""

import json
import logging
from typing import Any

from flask import Blueprint, Response, request

from kernel.errors import InvalidJson, KernelError, RequestRefused
from kernel.messages import text
from kernel.runtime import Kernel
from kernel.schemas import OrderRequest, envelope, parse_json
from kernel.states import OrderState
from kernel.submit import submit
from kernel.tasks import Broker
from kernel.views.errors import json_response
from kernel.views.requests import checked_order, idempotency_key, identity, read_body

log = logging.getLogger(__name__)

LOGGED = 1000


def original_blueprint(kernel: Kernel, broker: Broker) -> Blueprint:
    """Build the blueprint of the original's addresses for ``kernel``."""
    blueprint = Blueprint("original", __name__, url_prefix="/test")
    language = kernel.settings.language

    @blueprint.post("/add/")
    def add() -> Response:
        who = identity(kernel)
        try:
            # Its clients never said what content they send.
            members = parse_json(read_body(kernel.settings.max_body_bytes))
            order = checked_order(kernel, who, members)
            accepted = submit(kernel, who, order, idempotency_key())
        except RequestRefused as refused:
            return json_response(200, _refused(refused))
        broker.hint([accepted.order_id])
        data = _pending(order) | {"order_id": accepted.order_id}
        return json_response(200, envelope(2, text(OrderState.PENDING, language), data))

    def _refused(error: KernelError) -> dict[str, Any]:
        data = {"code": error.code, "detail": error.message, **error.data}
        return envelope(-1, text(error.code, language), data)

    @blueprint.route("/callback/", methods=["GET", "POST"])
    def callback() -> Response:
        identity(kernel)
        got: Any = request.args.to_dict()
        if request.method == "POST":
            body = read_body(kernel.settings.max_body_bytes)
            try:
                got = parse_json(body)
            except InvalidJson:
                got = body.decode("utf-8", "replace")
        log.info("callback received: %s", json.dumps(got, ensure_ascii=False)[:LOGGED])
        return json_response(200, envelope(0, text("success", language), got))

    return blueprint


def _pending(order: OrderRequest) -> dict[str, Any]:
    if order.select_tag != "create_project":
        return {}
    return {"项目中文名称": json.loads(order.args)["projname"]}
