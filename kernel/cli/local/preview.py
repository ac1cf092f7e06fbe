"""What a profile makes of a callback, byte for byte: for `kernel listen --profile`.

Nothing is asked and no secret is known here: `FOUND` stands for what a lookup would find, and
`SECRET_NAME` for the secret of that name.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from kernel.cli.local.receiver import Post
from kernel.delivery.outgoing.headers import headers_of
from kernel.delivery.profiles import made_shape, profile
from kernel.formats.callback_headers import HeaderFacts
from kernel.formats.shapes.render import facts, question, render
from kernel.formats.shapes.shape import parse_shape
from kernel.formats.shapes.template import TemplateFailed
from kernel.formats.signing import headers as signed_headers

FOUND = "FOUND"
# Of a profile whose callbacks go to the URL of the receiver, or to one that is a secret.
OWN_URL, SECRET_URL = "the URL of the receiver", "the secret named url"


@dataclass(frozen=True, slots=True)
class Made:
    """A request. ``lookup``: the URL that is asked before; URLs go below the receiver's."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    lookup: str | None

    def members(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


class Preview:
    """Renders callbacks by a profile, with its variables and outcomes; signs with ``secrets``.

    Raises ValueError, in words, for what the profile does not take.
    """

    def __init__(
        self,
        name: str,
        variables: Mapping[str, str],
        outcomes: Mapping[str, str],
        secrets: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._shape = parse_shape(made_shape(name, variables, outcomes))
        self._placed = {one: SecretStr(f"SECRET_{one}") for one in profile(name).secrets}
        self._secrets = secrets

    def made(self, post: Post) -> Made:
        """Return what would be sent in place of this callback. Raises ValueError: why nothing."""
        shape, message_id = self._shape, post.headers.get("webhook-id", "")
        try:
            known = facts(post.body, message_id, {})
            lookup = None if shape.lookup is None else question(shape.lookup, known).url
            rendered = render(shape, known, self._placed, None if lookup is None else FOUND)
        except TemplateFailed as error:
            raise ValueError(str(error)) from None
        stamp = post.headers.get("webhook-timestamp", "")
        seconds = int(stamp) if stamp.isascii() and stamp.isdecimal() else int(time.time())
        signed = signed_headers(self._secrets, message_id, seconds, rendered.body)
        ids = (post.headers.get("x-request-id"), post.headers.get("traceparent"))
        received = HeaderFacts(ids[0], ids[1], signed)
        url = SECRET_URL if shape.secret_url else rendered.url or OWN_URL
        body = rendered.body.decode(shape.charset, "replace")
        return Made(rendered.method, url, headers_of(received, rendered), body, lookup)
