"""What is sent for a delivery, and where: its receiver now, and its shape at the outcome.

The receiver, with its secrets and its terms, is the one that matches at each attempt. The shape is
that of the outcome, so every attempt has the same bytes. What is made of both stays below the
receiver's own URL, however it was rendered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from kernel.callers.matching import NAMED, Prefix
from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import Receiver, shape_at
from kernel.config.settings import is_loopback
from kernel.formats.shapes.shape import DEFAULT, Shape, parse_shape
from kernel.formats.shapes.template import TemplateFailed

# A value of the order's or of the receiver's that would make the URL ambiguous.
NO_SEGMENT = "the reference, or another value in the URL, cannot be one segment of a URL"


class Refused(Exception):
    """Nothing may be sent: the message says why, in words."""


class Unusable(Exception):
    """This release cannot read the shape, a newer one may: the message says why."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a delivery goes out.

    ``receiver``: None for a URL that none matches. ``url``: where it goes if its shape has no URL
    of its own. ``below``: the URL that everything sent has to be below; None for any.
    """

    receiver: Receiver | None
    shape: Shape
    url: str
    below: str | None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The URL that a shape's own URL is relative to."""
        return self.below or self.url

    def check(self, url: str) -> str:
        """Return a URL that may be sent to.

        Raises Refused for one that is somewhere else, and TemplateFailed for one that two programs
        could read as two paths: a value in it makes it so, and will at every attempt.
        """
        if self.below is None:
            return url
        # A secret is the receiver's as it is at each attempt, and can be mended.
        unfit = Refused if self.shape.secret_url else TemplateFailed
        own = _place(self.below, Refused, "the receiver's own URL cannot be read")
        if not own.begins(_place(url, unfit, NO_SEGMENT)):
            raise Refused("the URL that was made of the order is not below the receiver's")
        return url


def _place(url: str, wrong: type[Exception], why: str) -> Prefix:
    """Return where a URL leads. Raises ``wrong``, which says ``why``, for one that is ambiguous."""
    try:
        return Prefix.parse(url)
    except ValueError as error:
        raise wrong(f"{why}: {error}") from None


def way_of(profile: CallbackProfile, url: str, origin: str, shapes_until: int | None) -> Way:
    """Return how a delivery to ``url`` goes out, whose row has ``origin`` and ``shapes_until``.

    Raises Refused where the caller has no such receiver, and Unusable for a shape that this
    release cannot read.
    """
    receiver = profile.receiver_for(url)
    if receiver is None and url.startswith(NAMED):
        raise Refused(f"the caller has no receiver {url.removeprefix(NAMED)!r}")
    if receiver is None and profile.is_listed:
        raise Refused("no receiver of the caller matches the URL")
    if receiver is not None:
        _check_receiver(receiver, origin)
    version = shape_at(profile.versions, url, shapes_until)
    place = None if receiver is None else receiver.url
    if version is None or version.shape is None:
        shape = DEFAULT
    else:
        shape, place = _shape(version.shape), place or version.url
    target = receiver.url if receiver is not None and url.startswith(NAMED) else url
    variables = {} if version is None else version.variables
    if variables is None:
        raise Unusable("the receiver's variables cannot be read")
    return Way(receiver, shape, target, place, variables)


def _check_receiver(receiver: Receiver, origin: str) -> None:
    if receiver.origin != origin:
        raise Refused("the receiver of that name is at another origin than at the outcome")
    if receiver.credentials.is_empty or receiver.terms.clear_text:
        return
    parts = urlsplit(receiver.origin)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise Refused("the receiver's credentials are sent over TLS alone")


@lru_cache(maxsize=256)
def _shape(text: str) -> Shape:
    """Read a stored shape. Pure: the text is all that it depends on."""
    try:
        return parse_shape(json.loads(text))
    except ValueError as error:  # no JSON, or no shape
        raise Unusable(f"the receiver's shape cannot be read: {error}") from None
