"""The original system's addresses, which answer its clients to the letter.

``POST /test/add/`` submits; the answer is HTTP 200, the envelope's status telling: 2 accepted, -1
refused, with the original's words and no more in ``data`` than it had. The order's id is in the
header ``X-Order-Id``. Other HTTP statuses stand for what the original's clients cannot mend by
another order: 401 without credentials, and 503 with Retry-After while the database is away, so
that they try again. The callback receiver at ``/test/callback/`` logs what it got and sends the
same bytes back.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from kernel.callers.identity import Identity, Scope
from kernel.db.states import OrderState
from kernel.errors import (
    BodyTooLarge,
    InvalidJson,
    InvalidOrder,
    RequestRefused,
    Unauthenticated,
)
from kernel.formats.envelope import cut, encode, envelope
from kernel.formats.order_request import problem
from kernel.formats.strictjson import is_json, parse_json
from kernel.formats.texts import Language, in_languages
from kernel.orders.accept import checked_order, refuse_tag
from kernel.orders.submit import Accepted
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response, refusal_body
from kernel.views.http.requests import accept, read_body, refusing

log = logging.getLogger(__name__)

LOGGED = 1000
ORDER_ID = "X-Order-Id"
CREATE_PROJECT = "create_project"
# What the original said, by what it said it of, before the reason where there is one.
PENDING = in_languages(("pending", "devops系统添加项目工单任务执行中--pending--"))
BAD_FORM = in_languages(("the form cannot be read: ", "获取表单数据异常,异常原因:"))
NO_TAG = in_languages(("the form has no select_tag: ", "获取表单需求标识select_tag异常,异常原因:"))
NOT_ACCEPTED = in_languages(("not accepted: ", "执行异步celery任务异常,异常原因:"))
# What came in goes out under the origin of the dashboard: no browser may take it for a page.
ECHOED = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


def original_blueprint(kernel: Kernel, hints: Hints) -> Blueprint:
    """Build the blueprint of the original's addresses for ``kernel``."""
    blueprint = Blueprint("original", __name__, url_prefix="/test")
    language = kernel.settings.language

    @blueprint.post("/add/")
    def add() -> Response:
        who = identity(kernel, Scope.WRITE)
        who.require_submitting()
        try:
            # Its clients never said what content they send.
            body = read_body(kernel.settings.max_body_bytes)
            members = _members(body)
            with refusing(kernel, who):
                _refuse_without_description(kernel, who, members)
            accepted = accept(kernel, who, members, is_original=True)
        except Unauthenticated:
            raise
        except RequestRefused as refused:
            return _answer(-1, _refusal(refused, language), {})
        hints.hint(accepted.hints)
        return _pending(accepted, members, language)

    @blueprint.route("/callback/", methods=["GET", "POST"])
    def callback() -> Response:
        identity(kernel, Scope.WRITE)
        if request.method == "POST":
            got = read_body(kernel.settings.max_body_bytes)
        else:
            got = encode(request.args.to_dict())
        # As a JSON string, so that no line of it looks like one of the log's own.
        said = json.dumps(got.decode("utf-8", "replace")[:LOGGED], ensure_ascii=False)
        log.info("callback received: %s", said)
        kind = "application/json" if is_json(got) else "application/octet-stream"
        return Response(got, 200, {"Cache-Control": "no-store"} | ECHOED, content_type=kind)

    return blueprint


def _members(body: bytes) -> dict[str, Any]:
    """Read the form. Raises InvalidOrder without a select_tag, and what `parse_json` raises."""
    members = parse_json(body)
    if members.get("select_tag") in (None, ""):
        raise _NoTag(errors=[problem("/select_tag", "missing", "this member is required")])
    return members


def _refuse_without_description(kernel: Kernel, who: Identity, members: dict[str, Any]) -> None:
    """Refuse a project without one, naming all else that is wrong as well. Raises InvalidOrder.

    Who may not order projects is told that alone, as by `accept`: Forbidden.
    """
    if members["select_tag"] != CREATE_PROJECT or members.get("prodesc") is not None:
        return
    refuse_tag(who, CREATE_PROJECT)
    wrong = []
    try:
        checked_order(kernel, who, members)
    except InvalidOrder as invalid:
        wrong = invalid.data["errors"]
    missing = problem("/prodesc", "missing", "this member is required")
    raise InvalidOrder(errors=[*(one for one in wrong if one["pointer"] != "/prodesc"), missing])


class _NoTag(InvalidOrder):
    """The form does not say what is ordered."""


def _pending(accepted: Accepted, members: Mapping[str, Any], language: Language) -> Response:
    """Answer as the original did, whose one kind of order made a project."""
    data = {}
    if members["select_tag"] == CREATE_PROJECT and "projname" in members:
        data["项目中文名称"] = members["projname"]
    answer = _answer(OrderState.PENDING.wire_status, PENDING[language], data)
    answer.headers[ORDER_ID] = accepted.order_id
    return answer


def _refusal(refused: RequestRefused, language: Language) -> str:
    """Say in the original's words what was wrong, and why."""
    if isinstance(refused, InvalidJson | BodyTooLarge):
        said = BAD_FORM
    else:
        said = NO_TAG if isinstance(refused, _NoTag) else NOT_ACCEPTED
    return cut(said[language] + _reason(refused, language))


def _reason(refused: RequestRefused, language: Language) -> str:
    """Name each member that was wrong, or say what else was, as other answers say it."""
    if isinstance(refused, InvalidOrder):
        found = refused.data["errors"]
        return "; ".join(
            f"{one['pointer'].lstrip('/')}: {one['detail']}".lstrip(": ") for one in found
        )
    data = refusal_body(refused, language)
    return str(data["data"].get("detail") or data["msg"])


def _answer(status: int, msg: str, data: dict[str, Any]) -> Response:
    return json_response(200, envelope(status, msg, data))
