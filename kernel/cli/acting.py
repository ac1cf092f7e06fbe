"""Who runs a command, and why, for the act that is written with what the command changes."""

import os
import platform
import pwd
from collections.abc import Callable
from typing import Any

import click

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import REASON, By

_REASON = "kernel.reason"


def _keep(context: click.Context, _: click.Parameter, reason: str | None) -> None:
    if reason is not None and len(reason) > REASON:
        raise click.BadParameter(f"at most {REASON} characters")
    context.meta[_REASON] = reason


def with_reason(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--reason``, which `by_command` reads."""
    told = "Why, for the audit trail."
    option = click.option("--reason", metavar="TEXT", expose_value=False, callback=_keep, help=told)
    return option(command)


def by_command() -> By:
    """Return who runs this command, as the host knows them, and why."""
    context = click.get_current_context(silent=True)
    reason = None if context is None else context.meta.get(_REASON)
    return By(Actor(account(), "cli", platform.node()), reason)


def account() -> str:
    """Return the account that this process runs under; with sudo, also the one that it was for.

    The account is the system's word. Whose it was before sudo is that of the environment, which
    only root can be sure of, so it never takes the account's place.
    """
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container an account may have no name
        name = str(uid)
    before = os.environ.get("SUDO_USER")
    return name if before in (None, name) else f"{before} as {name}"
