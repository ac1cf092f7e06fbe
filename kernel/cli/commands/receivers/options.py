"""The options of `kernel receivers add | set`, and what they say of a receiver."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from kernel.callers.receiver_changes import ReceiverPatch
from kernel.callers.terms import MAX_CONCURRENCY, MAX_RATE
from kernel.delivery.profiles import made_shape
from kernel.formats.durations import schedule, seconds

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LOGINS = ("basic", "bearer", "oauth2")
# What an outcome's value is besides a text: a text is true in a template, also the text "false".
FLAGS = {"true": True, "false": False}
_OPTIONS = (
    click.option(
        "--profile", metavar="PROFILE", help="What callbacks look like, by the kind of system."
    ),
    click.option("--shape", type=FILE, help="What callbacks look like: a JSON file."),
    click.option("--set", "variables", multiple=True, metavar="K=V", help="[repeatable]"),
    click.option(
        "--outcome", "outcomes", multiple=True, metavar="STATE.KEY=VALUE", help="[repeatable]"
    ),
    click.option("--basic", metavar="USER", help="Log in as this user; asks for the password."),
    click.option("--bearer", is_flag=True, help="Asks for a bearer token."),
    click.option("--header", "headers", multiple=True, metavar="NAME", help="[repeatable]"),
    click.option("--no-header", multiple=True, metavar="NAME", help="[repeatable]"),
    click.option("--oauth", metavar="TOKEN_URL", help="Asks for the client's secret."),
    click.option("--client-id", metavar="ID"),
    click.option("--password-grant", metavar="USER", help="Asks for this user's password, too."),
    click.option("--scope", metavar="SCOPE"),
    click.option("--client-auth", type=click.Choice(["basic", "body"]), default="basic"),
    click.option("--client-cert", type=FILE, help="PEM file of the client's certificate."),
    click.option("--client-key", type=FILE, help="PEM file of its key."),
    click.option("--sn-hmac", is_flag=True, help="Asks for ServiceNow's HMAC key."),
    click.option("--secret", "secrets", multiple=True, metavar="NAME", help="[repeatable]"),
    click.option("--no-secret", multiple=True, metavar="NAME", help="[repeatable]"),
    click.option("--ca", type=FILE, help="PEM file of the authority that signs its certificate."),
    click.option("--schedule", metavar="5s,1m,5m", help="Pauses between attempts."),
    click.option("--give-up", metavar="2d", help="How long a callback is tried."),
    click.option("--timeout", metavar="20s", help="The longest that an attempt may take."),
    click.option(
        "--concurrency",
        type=click.IntRange(1, MAX_CONCURRENCY),
        metavar="N",
        help="Attempts at once.",
    ),
    click.option(
        "--rate",
        type=click.IntRange(1, MAX_RATE),
        metavar="PER_MINUTE",
        help="Attempts begun per minute.",
    ),
    click.option("--clear-text/--no-clear-text", default=None, help="Secrets over plain http."),
)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that `patch_of` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def patch_of(url: str | None, given: Mapping[str, Any]) -> ReceiverPatch:
    """Return what the options say; asks for secrets, in the order of the options.

    Raises ValueError for what cannot be read.
    """
    shape, outcomes = _look(given)
    return ReceiverPatch(
        url=url,
        shape=shape,
        outcomes=outcomes,
        credentials=_credentials(given),
        ca_pem=None if given["ca"] is None else _text(given["ca"]),
        terms=_terms(given),
    )


def _look(given: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """Return the shape that is asked for, and the outcomes to be merged into it."""
    name, file = given["profile"], given["shape"]
    if name is None:
        return None if file is None else _shape(file), _outcomes(given["outcomes"])
    if file is not None:
        raise ValueError("give --profile or --shape, not both")
    variables = dict(map(pair_of, given["variables"]))
    return made_shape(name, variables, dict(map(pair_of, given["outcomes"]))), {}


def _shape(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(file))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} is no JSON object")
    return found


def _text(file: Path) -> str:
    """Read a file, without the mark that editors of Windows write. What is no text (DER, PKCS #12)
    is for the readers of PEM and JSON to refuse, in their words."""
    return file.read_bytes().decode("utf-8-sig", "replace")


def _outcomes(asked: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in asked:
        place, value = pair_of(one)
        state, dot, key = place.partition(".")
        if not dot:
            raise ValueError(f"{one!r} is not STATE.KEY=VALUE")
        found.setdefault(state, {})[key] = FLAGS.get(value, value)
    return found


def _terms(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "give_up": given["give_up"] and seconds(given["give_up"]),
        "timeout": given["timeout"] and seconds(given["timeout"]),
        "schedule": given["schedule"] and list(schedule(given["schedule"])),
        "concurrency": given["concurrency"],
        "rate": given["rate"],
        "clear_text": given["clear_text"],
        "variables": dict(map(pair_of, given["variables"])) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def pair_of(text: str) -> tuple[str, str]:
    """Read NAME=VALUE. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def _credentials(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given["basic"] is not None:
        password = _ask(f"Password of {given['basic']}")
        found["basic"] = {"user": given["basic"], "password": password}
    if given["bearer"]:
        found["bearer"] = _ask("Bearer token")
    found |= _named("headers", given["headers"], given["no_header"])
    if given["oauth"] is not None:
        found["oauth2"] = _oauth2(given)
    if (given["client_cert"] is None) != (given["client_key"] is None):
        raise ValueError("a client certificate needs --client-cert and --client-key")
    if given["client_cert"] is not None:
        texts = (_text(given["client_cert"]), _text(given["client_key"]))
        found["client_certificate"] = dict(zip(("certificate", "key"), texts, strict=True))
    if given["sn_hmac"]:
        found["sn_hmac"] = _ask("HMAC key")
    found |= _named("secrets", given["secrets"], given["no_secret"])
    # One login takes another's place; two at once are refused with the rest.
    is_header = any(name.lower() == "authorization" for name in given["headers"])
    if is_header or set(LOGINS) & found.keys():
        found = dict.fromkeys(LOGINS) | found
    return found


def _named(kind: str, asked: Sequence[str], gone: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: _ask(f"Value of {name}") for name in asked}
    values |= dict.fromkeys(gone)
    return {kind: values} if values else {}


def _oauth2(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["client_id"] is None:
        raise ValueError("--oauth needs --client-id")
    user = given["password_grant"]
    found = {
        "token_url": given["oauth"],
        "grant": "client_credentials" if user is None else "password",
        "client_id": given["client_id"],
        "client_secret": _ask(f"Secret of the client {given['client_id']}"),
        "user": user,
        "password": None if user is None else _ask(f"Password of {user}"),
        "scope": given["scope"],
        "in_body": given["client_auth"] == "body",
    }
    return found


def _ask(what: str) -> str:
    """Ask a person without showing what is typed; without a terminal, read a line."""
    if sys.stdin.isatty():
        value: str = click.prompt(what, hide_input=True, err=True)
        return value
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise ValueError(f"{what}: standard input has no line for it")
    return line
