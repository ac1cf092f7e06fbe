"""Who is told what is wrong: the rules, added, removed and tried, as `kernel notify` has them."""

from flask import Response, request
from sqlalchemy import select

from kernel.db.tables.callers import Caller
from kernel.db.tables.receivers import RECEIVERS
from kernel.errors import KernelError
from kernel.insight.conditions.notices import rows, telling
from kernel.insight.conditions.rules import RULES
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Frame
from kernel.views.http.sessions import Visitor


def notice_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    def show(status: int = 200, refused: str = "") -> Response:
        with kernel.read_session() as session:
            known = rows.list_notices(session)
        return frame.render(
            "dashboard/notices.html",
            status,
            known=known,
            refused=refused,
            given=request.form,
            caller=rows.CALLER,
            receivers=receivers_of(kernel),
            conditions=[one.key for one in RULES],
        )

    @frame.page("/notifications")
    def notices(visitor: Visitor) -> Response:
        return show()

    @frame.change("/notifications")
    def add_notice(visitor: Visitor) -> Response:
        form = request.form
        named = (form.get("name", "").strip(), form.get("receiver", "").strip())
        conditions, by = form.getlist("condition"), frame.by(visitor)
        try:
            rows.add(kernel, *named, conditions, recovers="recovers" in form, by=by)
        except KernelError as error:  # says in words what is wrong with what was typed
            return show(422, error.message)
        return frame.back("notices", "done_notice_added")

    @frame.change("/notifications/<name>/remove")
    def remove_notice(visitor: Visitor, name: str) -> Response:
        rows.remove(kernel, name, frame.by(visitor))
        return frame.back("notices", "done_notice_removed")

    @frame.change("/notifications/<name>/test")
    def test_notice(visitor: Visitor, name: str) -> Response:
        order_id = telling.send_test(kernel, name, frame.by(visitor))
        return frame.back("order", "done_notice_tested", order_id=order_id)


def receivers_of(kernel: Kernel) -> list[str]:
    """Return the names of the receivers that a rule can go to."""
    own = select(Caller.id).where(Caller.name == rows.CALLER)
    asked = select(RECEIVERS.c.name).order_by(RECEIVERS.c.name).limit(rows.MOST)
    with kernel.read() as connection:
        caller_id = connection.scalar(own)
        named = (RECEIVERS.c.caller_id == caller_id, RECEIVERS.c.is_draft.is_(False))
        return [] if caller_id is None else list(connection.scalars(asked.where(*named)))
