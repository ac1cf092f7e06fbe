"""Callers and their keys."""

from flask import Response

from kernel.views.pages.frame import Frame
from kernel.views.pages.guard import Visitor


def caller_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""

    @frame.page("/callers")
    def callers(visitor: Visitor) -> Response:
        return frame.render("callers.html")
