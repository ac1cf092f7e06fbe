"""The operators' dashboard: one blueprint, put together from groups of pages."""

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard import problems, receivers
from kernel.views.dashboard.access import audit, callers, people
from kernel.views.dashboard.bulk.pages import bulk_pages
from kernel.views.dashboard.frame import LIMITS, Frame, Limits
from kernel.views.dashboard.lists import deliveries, orders
from kernel.views.dashboard.now import errors, notices, overview, pauses
from kernel.views.dashboard.order.views import one_order_pages
from kernel.views.dashboard.signing_in.sign_in import sign_in_pages
from kernel.views.dashboard.trends.page import trend_pages
from kernel.views.dashboard.work import schedules
from kernel.views.dashboard.work.parts import part_pages
from kernel.views.dashboard.work.workers import worker_pages
from kernel.views.http.sessions import Visitor

PREFIX = "/dashboard"


def dashboard_blueprint(kernel: Kernel, hints: Hints, limits: Limits = LIMITS) -> Blueprint:
    """Build the dashboard of ``kernel``; ``hints`` is told of what its buttons submit and end."""
    blueprint = Blueprint("dashboard", __name__, url_prefix=PREFIX)
    frame = Frame(kernel, hints, blueprint, limits)
    sign_in = sign_in_pages(frame)
    if kernel.settings.oidc_issuer:
        from kernel.views.dashboard.signing_in.oidc import oidc_pages  # loads a library of its own

        oidc_pages(frame, sign_in)
    overview.overview_pages(frame)
    errors.error_pages(frame)
    orders.order_pages(frame)
    one_order_pages(frame)
    deliveries.delivery_pages(frame)
    bulk_pages(frame)
    pauses.pause_pages(frame)
    receivers.receiver_pages(frame)
    trend_pages(frame)
    schedules.schedule_pages(frame)
    callers.caller_pages(frame)
    worker_pages(frame)
    part_pages(frame)
    notices.notice_pages(frame)
    people.people_pages(frame)
    audit.audit_pages(frame)

    @frame.page("/<path:below>")
    def unknown_page(visitor: Visitor, below: str) -> Response:
        raise NotFound

    problems.install(frame, sign_in)
    return blueprint
