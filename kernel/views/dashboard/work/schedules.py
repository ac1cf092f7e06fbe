"""Recurring orders: when each comes next and how it went last; pausing, resuming, running now.

They are made, changed and removed on the command line.
"""

from flask import Response

from kernel.errors import InvalidOrder
from kernel.schedules import changes
from kernel.schedules.rows import list_schedules
from kernel.views.dashboard.frame import Frame
from kernel.views.http.sessions import Visitor


def schedule_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    @frame.page("/schedules")
    def schedules(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            known = list_schedules(session)
        return frame.render("dashboard/schedules.html", known=known)

    @frame.change("/schedules/<name>/pause")
    def pause_schedule(visitor: Visitor, name: str) -> Response:
        changes.pause(kernel, name, frame.by(visitor))
        return frame.back("schedules", "done_schedule_paused")

    @frame.change("/schedules/<name>/resume")
    def resume_schedule(visitor: Visitor, name: str) -> Response:
        changes.resume(kernel, name, frame.by(visitor))
        return frame.back("schedules", "done_schedule_resumed")

    @frame.change("/schedules/<name>/run")
    def run_schedule(visitor: Visitor, name: str) -> Response:
        try:
            order_id = changes.run_now(kernel, name, frame.by(visitor))
        except InvalidOrder as refused:
            refused.data["page"] = "order_invalid"
            raise
        frame.hints.hint([order_id])
        return frame.back("order", "done_submitted", order_id=order_id)
