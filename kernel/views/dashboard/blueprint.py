"""The operators' dashboard: one blueprint, put together from groups of pages."""

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard import callers, deliveries, order, orders, overview, problems
from kernel.views.dashboard.frame import LIMITS, Frame, Limits
from kernel.views.dashboard.sign_in import sign_in_pages
from kernel.views.http.sessions import Visitor

PREFIX = "/dashboard"


def dashboard_blueprint(kernel: Kernel, hints: Hints, limits: Limits = LIMITS) -> Blueprint:
    """Build the dashboard of ``kernel``; ``hints`` is told of what its buttons submit and end."""
    blueprint = Blueprint("dashboard", __name__, url_prefix=PREFIX)
    frame = Frame(kernel, hints, blueprint, limits)
    sign_in = sign_in_pages(frame)
    overview.overview_pages(frame)
    orders.order_pages(frame)
    order.one_order_pages(frame)
    deliveries.delivery_pages(frame)
    callers.caller_pages(frame)

    @frame.page("/<path:below>")
    def unknown_page(visitor: Visitor, below: str) -> Response:
        raise NotFound

    problems.install(frame, sign_in)
    return blueprint
