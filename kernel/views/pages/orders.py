"""The list of orders, and the page of one order with its buttons."""

from flask import Response

from kernel.views.pages.frame import Frame
from kernel.views.pages.guard import Visitor


def order_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""

    @frame.page("/orders")
    def orders(visitor: Visitor) -> Response:
        return frame.render("orders.html")
