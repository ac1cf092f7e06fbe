"""When and how often a receiver is sent to: its own schedule and limits, and its variables."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from kernel.callers.credentials import SECRET_NAME
from kernel.transport.backoff import RetryPolicy

log = logging.getLogger(__name__)

MAX_CONCURRENCY, MAX_RATE, MAX_TIMEOUT = 1000, 60_000, 120.0
MAX_VARIABLES, MAX_VARIABLE = 50, 1000
# All of it as JSON, in bytes: what a TEXT column of MariaDB holds.
MAX_TERMS = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A receiver's own; None is the setting's. Times are in seconds, ``rate`` is per minute.

    ``clear_text``: its secrets may go over plain http, to a host that is named for its caller.
    ``variables``: what its templates find below `receiver`.
    """

    schedule: tuple[float, ...] | None = None
    give_up: float | None = None
    timeout: float | None = None
    concurrency: int | None = None
    rate: int | None = None
    clear_text: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; members that this release does not know are left out."""
        return cls.from_members(json.loads(text))

    @classmethod
    def of_row(cls, receiver_id: int, text: str) -> Self:
        """Read a receiver's row, beside which others are read: the settings' hold where it makes
        no sense.
        """
        try:
            return cls.from_json(text)
        except (AttributeError, TypeError, ValueError) as error:
            said = "the terms of receiver %s cannot be read, the settings' hold: %s"
            log.warning(said, receiver_id, error)
            return cls()

    @classmethod
    def from_members(cls, found: Mapping[str, Any]) -> Self:
        """Make terms of JSON members; unknown ones are left out."""
        known = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        if isinstance(known.get("schedule"), list):
            known["schedule"] = tuple(known["schedule"])
        return cls(**known)

    def members(self) -> dict[str, Any]:
        """Return what is set, as JSON has it."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["schedule"] = self.schedule and list(self.schedule)
        found["variables"] = dict(self.variables)
        return {name: value for name, value in found.items() if value not in (None, False, {})}

    def to_json(self) -> str:
        """Return what the receiver's row holds."""
        return json.dumps(self.members(), ensure_ascii=False, sort_keys=True)

    def check(self, base: RetryPolicy) -> None:
        """Refuse terms that cannot hold beside the settings' ``base``. Raises ValueError."""
        _check_number("timeout", self.timeout, MAX_TIMEOUT)
        _check_number("give_up", self.give_up, 366 * 86400)
        _check_number("concurrency", self.concurrency, MAX_CONCURRENCY, whole=True)
        _check_number("rate", self.rate, MAX_RATE, whole=True)
        if not isinstance(self.clear_text, bool):
            raise ValueError("clear_text is true or false")
        # The settings' own schedule ends with their deadline: only what was chosen is judged.
        if self.schedule is not None:
            check_schedule(self.schedule)
            check_fits(self.schedule, base.give_up_after if self.give_up is None else self.give_up)
        _check_variables(self.variables)
        if (size := len(self.to_json().encode())) > MAX_TERMS:
            raise ValueError(f"the terms are {size} bytes of JSON, and may be {MAX_TERMS}")


def _check_number(name: str, value: object, most: float, *, whole: bool = False) -> None:
    kinds: Any = int if whole else (int, float)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value <= most:
        raise ValueError(f"{name} is a{' whole' if whole else ''} number from above 0 to {most:g}")


def check_schedule(schedule: object) -> None:
    """Refuse what is no schedule of a receiver or a caller. Raises ValueError."""
    if not isinstance(schedule, tuple) or not 0 < len(schedule) <= 100:
        raise ValueError("a schedule has 1 to 100 pauses")
    if None in schedule:
        raise ValueError("each pause of a schedule is a number")
    for pause in schedule:
        _check_number("each pause of a schedule", pause, 366 * 86400)


def check_fits(schedule: Sequence[float], give_up: float) -> None:
    """Refuse a schedule whose last attempts come after ``give_up`` seconds. Raises ValueError."""
    if sum(schedule) > give_up:
        raise ValueError("the schedule outlasts give_up: its last attempts never come")


def _check_variables(variables: object) -> None:
    if not isinstance(variables, Mapping) or len(variables) > MAX_VARIABLES:
        raise ValueError(f"variables are at most {MAX_VARIABLES} names with texts")
    for name, value in variables.items():
        if not isinstance(name, str) or not SECRET_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable: letters, digits and _")
        if not isinstance(value, str) or len(value) > MAX_VARIABLE:
            raise ValueError(f"the variable {name} is a text of at most {MAX_VARIABLE} characters")
        if any("\ud800" <= one <= "\udfff" for one in value):
            raise ValueError(f"the variable {name} holds half of a surrogate pair")
