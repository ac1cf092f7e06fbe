"""What a new key may do, from where and until when, as options of commands."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from kernel.callers import identity
from kernel.callers.key_terms import KeyTerms, limits
from kernel.cli.numbers import Finite
from kernel.config.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
ENDS = (
    click.option(
        "--never-expires", is_flag=True, help="The key works until it is revoked or rotated."
    ),
    click.option(
        "--expires-days",
        type=Finite(min=0, min_open=True, max=36_500),
        metavar="DAYS",
        help="How long the key works.  [default: KERNEL_KEY_DAYS]",
    ),
)
MAY = (
    click.option(
        "--network",
        "networks",
        multiple=True,
        metavar="CIDR",
        help="Where the key works, and nowhere else.  [repeatable]",
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        help="Limit the key to orders of this select_tag.  [repeatable]",
    ),
    click.option(
        "--scope",
        "scopes",
        multiple=True,
        type=click.Choice([scope.value for scope in identity.Scope]),
        help="What the key allows.  [repeatable; default: orders:write and orders:read]",
    ),
)


def key_ends(command: Command) -> Command:
    """Give a command the options that say until when a key works."""
    for option in ENDS:
        command = option(command)
    return command


def key_terms(command: Command) -> Command:
    """Give a command the options that say what a key may do, from where and until when."""
    for option in MAY:
        command = option(key_ends(command) if option is MAY[0] else command)
    return command


def terms_given(given: dict[str, Any], settings: Settings, now: datetime) -> KeyTerms:
    """Return the terms that the options of `key_terms` give. Raises click.UsageError."""
    tags = limits(given["tags"])
    try:
        terms = KeyTerms(
            frozenset(given["scopes"]) or identity.CALLERS_OWN,
            now + timedelta(days=settings.key_days),
            None if tags is None else frozenset(tags),
            limits(given["networks"]),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return ending(terms, given, now)


def ending(terms: KeyTerms, given: dict[str, Any], now: datetime) -> KeyTerms:
    """Return ``terms`` with the end that the options of `key_ends` give, if they give one."""
    days = given["expires_days"]
    if given["never_expires"]:
        if days is not None:
            raise click.UsageError("give either --expires-days or --never-expires")
        return replace(terms, expires_at=None)
    return terms if days is None else replace(terms, expires_at=now + timedelta(days=days))
