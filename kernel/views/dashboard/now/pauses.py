"""The page of pauses, and the buttons of all pages that pause and resume."""

from flask import Response, request

from kernel.db.ids import ID
from kernel.errors import InvalidOrder, NotFound, RequestRefused
from kernel.pauses.changes import end_after, pause, resume
from kernel.pauses.listing import list_pauses
from kernel.pauses.subjects import Subject, is_known, subject_named
from kernel.views.dashboard.frame import Frame
from kernel.views.http.errors import in_words, status_of
from kernel.views.http.sessions import Visitor

# Where a pause may have been made or ended; the answer leads back there.
BACK = ("overview", "deliveries", "callers", "receivers", "pauses")
PARTS = {"tag_page": "tag", "caller_page": "caller"}
# What may be paused, as the form offers it, and for how long.
KINDS = ("tag", "orders_of", "host", "caller", "receiver")
SPANS = ("30m", "2h", "8h", "1d")


def pause_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    def show(status: int = 200, refused: str = "", key: str = "") -> Response:
        with kernel.read_session() as session:
            found = list_pauses(session)
        typed = {"refused": refused, "key": key, "given": request.values if refused else {}}
        shown = {"pauses": found, "kinds": KINDS, "spans": SPANS}
        return frame.render("dashboard/pauses.html", status, **shown, **typed)

    @frame.page("/pauses")
    def pauses(visitor: Visitor) -> Response:
        return show()

    @frame.change("/pauses")
    def begin_pause(visitor: Visitor) -> Response:
        try:
            return begin(visitor)
        except RequestRefused as error:  # says in words what is wrong with what was typed
            key = str(error.data.get("page", ""))
            return show(status_of(error), in_words(error) or error.message, key)

    def begin(visitor: Visitor) -> Response:
        subject = _subject(frame)
        with kernel.read_session() as session:
            known = is_known(session, subject, kernel.handlers)
        span = request.values.get("for", "")
        try:
            until = end_after(kernel, span) if span else None
        except ValueError as error:
            raise InvalidOrder(str(error)) from None
        held = pause(kernel, subject, until=until, by=frame.by(visitor))
        frame.hints.hint(held.woken)
        return _back(frame, "done_paused" if known else "done_paused_unknown")

    @frame.change("/pauses/resume")
    def end_pause(visitor: Visitor) -> Response:
        try:
            resumed = resume(kernel, _subject(frame), by=frame.by(visitor))
        except NotFound:  # another person was faster
            return _back(frame, "done_not_paused")
        frame.hints.hint(resumed.woken)
        return _back(frame, "done_resumed")


def _subject(frame: Frame) -> Subject:
    """Read what is to be paused or resumed, of the address or the form."""
    what, name = request.values.get("what", ""), request.values.get("of", "").strip()
    try:
        with frame.kernel.read_session() as session:
            return subject_named(session, what, name)
    except ValueError as error:
        raise InvalidOrder(str(error), page="no_host") from None


def _back(frame: Frame, said: str) -> Response:
    back, order_id = request.args.get("back", ""), request.args.get("order_id", "")
    if back == "order" and ID.fullmatch(order_id):
        return frame.back("order", said, order_id=order_id)
    if back in PARTS:  # the page of the tag or caller itself
        return frame.back(back, said, **{PARTS[back]: request.values.get("of", "")})
    return frame.back(back if back in BACK else "pauses", said)
