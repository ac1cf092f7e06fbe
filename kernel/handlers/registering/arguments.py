"""The arguments that a title or a limit of a handler names: as its model has them."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from kernel.handlers.registering.refusals import members_of

Argument = str | int | float | Decimal


def arguments_named(
    model: type[BaseModel],
    parse: Callable[[str], BaseModel],
    names: Iterable[str],
    args: str,
) -> dict[str, Argument | None]:
    """Return the arguments called so, from an order's ``args``; None for no text and no number.

    ``parse`` has the model read them. It may refuse what is stored, as it may the mask in place of
    a secret: then they are as the order says, or by default. Never raises.
    """
    try:
        parsed = parse(args)
    except Exception:  # noqa: BLE001 - a newer model, or any code of a validator or a default
        members = json.loads(args)
        return {name: _plain(_said(model, name, members)) for name in names}
    return {name: _plain(getattr(parsed, name, None)) for name in names}


def _said(model: type[BaseModel], name: str, members: dict[str, Any]) -> Any:
    """Return what the members of an order say of an argument, else its default."""
    for one in members_of(model, name):
        if one in members:
            return members[one]
    # A default that is made of the other arguments needs them read.
    with suppress(Exception):
        field = model.model_fields[name]
        return None if field.is_required() else field.get_default(call_default_factory=True)
    return None


def _plain(value: Any) -> Argument | None:
    if isinstance(value, Enum):
        value = value.value
    is_plain = isinstance(value, Argument) and not isinstance(value, bool)
    return value if is_plain else None
