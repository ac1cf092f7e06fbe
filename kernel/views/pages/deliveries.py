"""The list of deliveries, and replay of many."""

from flask import Response

from kernel.views.pages.frame import Frame
from kernel.views.pages.guard import Visitor


def delivery_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""

    @frame.page("/deliveries")
    def deliveries(visitor: Visitor) -> Response:
        return frame.render("deliveries.html")
