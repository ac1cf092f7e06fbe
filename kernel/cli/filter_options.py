"""Options that say which orders or which callbacks: the fields of their filters."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from kernel.filters.callbacks import CallbackFilter
from kernel.filters.fields import (
    CALLBACK_FIELDS,
    ORDER_FIELDS,
    SAYS_NOTHING,
    Read,
    blank,
    known,
    read_callbacks,
    read_orders,
)
from kernel.filters.moments import Here
from kernel.filters.orders import OrderFilter
from kernel.runtime.kernel import Kernel

SYSTEM_ZONE = "/etc/localtime"
F = TypeVar("F", bound=Callable[..., Any])
Filter = TypeVar("Filter", OrderFilter, CallbackFilter)
# What the options are called that are not called as their fields.
_OPTIONS = {"q": "text", "ids": "id"}
_HELP = {
    "state": "In this state.",
    "tag": "Of this select_tag.",
    "caller": "Of this caller.",
    "host": "To this HOST, HOST:PORT or SCHEME://HOST:PORT.",
    "receiver": "To the caller's receiver of this name.",
    "error": "With this error code.",
    "reference": "With this reference.",
    "reference_prefix": "With a reference that begins so.",
    "ordering_key": "With this ordering key.",
    "batch": "Children of this order or batch.",
    "since": "From this time on: 14:00, 2h (two hours ago), 2026-11-29T14:00:00Z.",
    "until": "Before this time.",
    "callback": "Whose callback is in this state, or `none`.",
    "fingerprint": "With a run that failed like this: see `kernel orders show --json`.",
    "waiting": "That wait for this, such as event:NAME, or `any`.",
    "q": "With these words in their arguments, or with this name.",
    "ids": "These orders, with commas between.",
    "ended_since": "That ended from this time on.",
    "ended_until": "That ended before this time.",
    "died_of": "That are dead for this reason.",
    "order": "Of this order.",
    "zone": "The zone of times without an offset, instead of the system's.",
}


def with_order_filter(command: F) -> F:
    """Give a command the options of a filter of orders; `order_filter` reads them."""
    return _with(command, ORDER_FIELDS)


def with_callback_filter(command: F) -> F:
    """Give a command the options of a filter of callbacks; `callback_filter` reads them."""
    return _with(command, CALLBACK_FIELDS)


def order_filter(kernel: Kernel, given: Mapping[str, Any]) -> OrderFilter:
    """Read the options of a filter of orders. Raises click.UsageError with all that is wrong.

    An option that says nothing is wrong, too: a variable of a script may be unset.
    """
    with kernel.read() as connection:
        return _read(read_orders(_fields(given, ORDER_FIELDS), known(connection, here())))


def callback_filter(kernel: Kernel, given: Mapping[str, Any]) -> CallbackFilter:
    """Read the options of a filter of callbacks. Raises as `order_filter`."""
    with kernel.read() as connection:
        return _read(read_callbacks(_fields(given, CALLBACK_FIELDS), known(connection, here())))


def here() -> Here:
    """Return the time and the zone of this host, by which times of day are read."""
    return Here(datetime.now().astimezone(), system_zone())


def system_zone() -> tzinfo:
    """Return the time zone of the shell: that of TZ, else the system's."""
    try:
        if name := os.environ.get("TZ", "").lstrip(":"):
            return ZoneInfo(name)
        with open(SYSTEM_ZONE, "rb") as file:
            return ZoneInfo.from_file(file)
    except (
        OSError,
        ValueError,
        ZoneInfoNotFoundError,
    ):  # CET-1CEST, or no such file
        return datetime.now().astimezone().tzinfo or UTC


def _with(command: F, fields: Sequence[str]) -> F:
    for name in reversed((*fields, "zone")):
        said, shown = f"--{_OPTIONS.get(name, name).replace('_', '-')}", _HELP.get(name, "")
        command = click.option(said, f"by_{name}", metavar="TEXT", help=shown)(command)
    return command


def _fields(given: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    said = {name: given.get(f"by_{name}") for name in (*names, "zone")}
    fields = {name: str(value) for name, value in said.items() if value is not None}
    _refuse(dict.fromkeys(blank(fields), SAYS_NOTHING))
    return fields


def _read(found: Read[Filter]) -> Filter:
    _refuse(found.wrong)
    return found.wanted


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        names = {name: _OPTIONS.get(name, name).replace("_", "-") for name in wrong}
        raise click.UsageError("; ".join(f"--{names[name]}: {why}" for name, why in wrong.items()))
