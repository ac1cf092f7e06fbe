"""The order that `kernel orders submit` is given: in a file, or in options."""

import json
from collections.abc import Sequence
from typing import Any, BinaryIO

import click

from kernel.formats.envelope import encode

# The options that make an order in place of a file.
BODY_OPTIONS = ("tag", "callback_url", "no_callback", "arguments")


def order_body(
    file: BinaryIO | None,
    tag: str | None,
    callback_url: str | None,
    no_callback: bool,
    arguments: Sequence[str],
) -> bytes:
    """Return the order as bytes of JSON, from the file or from the options; raises UsageError."""
    if (file is None) == (not (tag or callback_url or no_callback or arguments)):
        raise click.UsageError("give either FILE, or --tag, --callback-url and --arg")
    if no_callback and callback_url:
        raise click.UsageError("give --callback-url or --no-callback")
    if file is not None:
        return file.read()
    members = {"select_tag": tag, "callback_url": callback_url}
    members = {name: value for name, value in members.items() if value is not None}
    if no_callback:
        members["callback_url"] = None
    return encode(members | dict(map(_member, arguments)))


def _member(argument: str) -> tuple[str, Any]:
    name, equals, value = argument.partition("=")
    if not name.rstrip(":") or not equals:
        raise click.UsageError(f"--arg {argument}: write NAME=TEXT or NAME:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"--arg {argument}: not JSON: {error}") from None
