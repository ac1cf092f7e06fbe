"""Which answers are pages of HTML, as a proxy or a sign-in writes them. Pure."""

import re

# How one begins, behind what may stand before it. What was passed is not tried again.
_PAGE = re.compile(
    r"(?>[\s\ufeff]+|<!--.*?-->|<\?.*?\?>)*+<(?:!doctype\s+html|html)(?:[\s>/]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_KINDS = ("text/html", "application/xhtml+xml")


def is_page(content_type: str, text: str) -> bool:
    """Tell whether an answer is a page of HTML; XML of another kind is a system's own answer."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind in _KINDS or begins_page(text)


def begins_page(text: str) -> bool:
    """Tell whether an answer begins as a page of HTML does."""
    return _PAGE.match(text) is not None
