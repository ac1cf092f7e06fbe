"""The reference of an order: the caller's own name for it, such as a ticket's number. Pure.

Not unique: several orders may serve one ticket. Compared character by character.
"""

import re
from typing import Any

MAX_REFERENCE = 255
# No control characters, line ends or direction overrides: it stands in lists, logs and terminals.
_REFUSED = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
# None of these at its ends: a database may take `INC1` and `INC1 ` for the same.
_SPACES = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000\ufeff"
)
_SPACE = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff"
# As JSON Schema, pydantic and `re` understand it, and alike.
PATTERN = f"^[^{_REFUSED}{_SPACE}]([^{_REFUSED}]*[^{_REFUSED}{_SPACE}])?$"
WORDS = f"1 to {MAX_REFERENCE} characters, no control characters, no space at its ends"

_WHOLE = re.compile(PATTERN.removesuffix("$"))
_OUTSIDE = re.compile(f"[{_REFUSED}]+")


def is_reference(value: Any) -> bool:
    """Tell whether ``value`` can be a reference as it stands."""
    fits = isinstance(value, str) and len(value) <= MAX_REFERENCE
    return fits and _WHOLE.fullmatch(value) is not None


def as_reference(value: str | None) -> str | None:
    """Make a reference of a handler's argument, which has rules of its own; None of nothing.

    What no reference may hold becomes a space; the rest is cut to `MAX_REFERENCE` characters.
    """
    if value is None:
        return None
    # By strip: an expression for the end would look at a run of spaces once for each of them.
    text = _OUTSIDE.sub(" ", str.__str__(value)).strip(_SPACES)
    return text[:MAX_REFERENCE].strip(_SPACES) or None
