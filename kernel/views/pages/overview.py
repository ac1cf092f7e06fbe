"""The overview: how everything is right now."""

from flask import Response

from kernel.views.pages.frame import Frame
from kernel.views.pages.guard import Visitor


def overview_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""

    @frame.page("/")
    def overview(visitor: Visitor) -> Response:
        return frame.render("overview.html")
