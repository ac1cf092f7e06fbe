"""What an operator sets for a caller's callbacks, and what is refused."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kernel.db.tables.callers import Caller
from kernel.formats.callback_headers import is_callback_header
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy
from kernel.transport.headers import is_transport_header

# RFC 9110, section 5.6.2 (token) and 5.5 (field values: visible characters and inner spaces).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class CallerRules:
    """What an operator sets for a caller's callbacks; None leaves it as it is.

    ``schedule``: seconds between attempts, empty for the setting's. ``headers``: sent with every
    callback; an empty value removes one.
    """

    nets: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    schedule: Sequence[float] | None = None
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def apply(self, caller: Caller) -> None:
        """Write the rules into ``caller``. Raises ValueError that says what is wrong."""
        CallbackPolicy.from_strings(self.nets or (), self.hosts or ())
        if self.nets is not None:
            caller.allow_nets = json.dumps(list(self.nets))
        if self.hosts is not None:
            caller.allow_hosts = json.dumps(list(self.hosts))
        if self.schedule is not None:
            caller.schedule = _checked_schedule(self.schedule)
        for name, value in self.headers.items():
            check_header(name, value)
        # Names are the same in any case: one that is given again replaces the one there was.
        kept = {name.lower(): (name, value) for name, value in json.loads(caller.headers).items()}
        kept |= {name.lower(): (name, value) for name, value in self.headers.items()}
        caller.headers = json.dumps({name: value for name, value in kept.values() if value})


def _checked_schedule(schedule: Sequence[float]) -> str | None:
    if not schedule:
        return None
    RetryPolicy(schedule=tuple(schedule))
    return json.dumps(list(schedule))


def check_header(name: str, value: str) -> None:
    """Refuse a static header that would not arrive, or could break or forge a request.

    An empty ``value``, which removes the header, is allowed. Raises ValueError that says why.
    """
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if is_transport_header(name) or is_callback_header(name):
        raise ValueError(f"{name} is set by kernel itself, or never sent")
    if value and not HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} must be visible ASCII on one line")
