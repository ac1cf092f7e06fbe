"""`kernel listen`: shows callbacks as they arrive, and answers them as its options say."""

import json
import queue
import re
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from kernel.cli.local.listener import Heard, Listener, Manner, Signature
from kernel.cli.local.receiver import HOST, Postbox
from kernel.cli.terminal.output import as_json, cell
from kernel.errors import AddressRefused
from kernel.formats.envelope import rfc3339
from kernel.formats.signing import decode_secret
from kernel.transport.addresses import CallbackPolicy, check_url

PORT = 8090
NET = f"{HOST}/32"
_HEADER = re.compile(r"[\x21-\x7e]+")
_SHOWN = 200
_WORDS = {
    Signature.VALID: "signature valid",
    Signature.WRONG: "wrong signature",
    Signature.TOO_OLD: "too old",
    Signature.TOO_NEW: "too new",
    Signature.MISSING: "not signed",
    Signature.UNCHECKED: "signature not checked",
}
_COLOURS = {Signature.VALID: "green", Signature.UNCHECKED: None}


def _secrets(_: click.Context, __: click.Parameter, values: Sequence[str]) -> list[str]:
    """Read a line of standard input for each ``-``, and refuse malformed secrets."""
    try:
        return [_checked(_typed() if value == "-" else value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _typed() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Signing secret", hide_input=True, err=True))
    return sys.stdin.readline()


def _checked(secret: str) -> str:
    decode_secret(secret.strip())
    return secret.strip()


def _port(_: click.Context, __: click.Parameter, port: int) -> int:
    """Refuse a port to which kernel sends no callbacks."""
    try:
        if port:
            check_url(f"http://{HOST}:{port}/", CallbackPolicy.from_strings([NET]))
    except AddressRefused:
        raise click.BadParameter(f"kernel sends no callbacks to port {port}") from None
    return port


def _location(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is not None and not _HEADER.fullmatch(url):
        raise click.BadParameter("a URL is visible ASCII without spaces")
    return url


_port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    callback=_port,
    help="Port on 127.0.0.1; 0: a free one.",
)
_secret_option = click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="WHSEC",
    callback=_secrets,
    help="Signing secret to verify with; -: read a line of standard input.  [repeatable]",
)


def _manner(command: Any) -> Any:
    """Add the options that say how to answer."""
    options = (
        click.option(
            "--status", type=click.IntRange(200, 599), help="Answer with this HTTP status."
        ),
        click.option("--redirect", metavar="URL", callback=_location, help="Redirect there."),
        click.option(
            "--fail-first",
            type=click.IntRange(min=1),
            metavar="N",
            help="Do so for the first N callbacks only (500 by default), then answer 200.",
        ),
        click.option(
            "--retry-after",
            type=click.IntRange(min=0),
            metavar="S",
            help="Send Retry-After: S with that answer.",
        ),
        click.option(
            "--delay",
            type=click.FloatRange(0, 3600),
            default=0.0,
            metavar="S",
            help="Wait S seconds before each answer.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_port_option
@_secret_option
@_manner
@as_json
def listen(port: int, secrets: list[str], machine: bool, **manner: Any) -> None:
    """Receive callbacks on this host and show them.

    Shows for each callback whether its signature and age are right, and whether it is a
    duplicate. Answers 200 by default; with --secret, 401 to a callback whose signature or age is
    wrong.

    --json prints a line of JSON per callback, and everything else to stderr.
    """
    if manner["retry_after"] is not None and not (manner["status"] or manner["fail_first"]):
        raise click.UsageError("--retry-after goes with --status or --fail-first")
    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    listener = Listener(secrets, Manner(**manner), heard.put)
    try:
        postbox = Postbox(listener.answer, port, lambda _: _say_hung_up())
    except OSError as error:
        raise click.UsageError(f"port {port}: {error.strerror}; choose one with --port") from None
    with postbox:
        _welcome(postbox.url, bool(secrets), machine)
        _summarize(_show_until_stopped(heard, machine), machine)


def _welcome(url: str, checks: bool, machine: bool) -> None:
    signatures = "verified" if checks else "not checked: give the signing secret with --secret -"
    click.echo(
        f"""{click.style("callback_url", bold=True)}  {url}

kernel sends there if its API and its workers are started with
  KERNEL_CALLBACK_ALLOW_NETS={NET}
or if the caller may reach this host:
  kernel callers add NAME --callback-net {NET}

Signatures are {signatures}. Ctrl-C ends.
""",
        err=machine,
    )


def _show_until_stopped(heard: "queue.SimpleQueue[Heard]", machine: bool) -> Counter[str]:
    """Print callbacks until Ctrl-C or SIGTERM; return their number by kind."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell starts `... &` ignoring SIGINT
        signal.signal(number, signal.default_int_handler)
    counts: Counter[str] = Counter()
    try:
        while True:
            one = heard.get()
            counts.update(["callback", one.signature, *(["duplicate"] * one.is_duplicate)])
            click.echo(printed(one, machine))
    except KeyboardInterrupt:
        return counts


def _summarize(counts: Counter[str], machine: bool) -> None:
    """Print the summary line."""
    total = counts["callback"]
    kinds = [f"{counts[one]} {_WORDS[one]}" for one in Signature if counts[one]]
    if counts["duplicate"]:
        kinds.append(f"{counts['duplicate']} seen before")
    text = f"{total} callback{'' if total == 1 else 's'}"
    click.echo(f"\n{text}{': ' * bool(kinds)}{', '.join(kinds)}", err=machine)


def _say_hung_up() -> None:
    click.echo("          the sender hung up before the answer", err=True)


def printed(heard: Heard, machine: bool) -> str:
    """Return what is printed of a callback: one line of JSON, or two lines for people."""
    form = _json if machine else _text
    try:
        return form(heard)
    except (RecursionError, ValueError):  # the JSON could be read, but is too deep to write
        return form(replace(heard, envelope={}))


def _json(heard: Heard) -> str:
    """Return a callback as a line of JSON; ASCII, so that its text cannot steer a terminal."""
    line = {
        "time": rfc3339(datetime.fromtimestamp(heard.at, UTC)),
        "webhook_id": heard.webhook_id,
        "order_id": heard.data.get("order_id"),
        "state": heard.data.get("state"),
        "status": heard.envelope.get("status"),
        "msg": heard.envelope.get("msg"),
        **{name: heard.data[name] for name in ("result", "error") if name in heard.data},
        **({} if heard.envelope else {"body": heard.excerpt}),
        "signature": heard.signature,
        "reason": heard.reason or None,
        "age_seconds": heard.age,
        "duplicate": heard.is_duplicate,
        "answer": heard.answer,
    }
    return json.dumps(line, allow_nan=False).replace("\x7f", "\\u007f")


def _text(heard: Heard) -> str:
    """Return a callback as two lines for people."""
    clock = datetime.fromtimestamp(heard.at).strftime("%H:%M:%S")
    parts = [f"webhook-id {_short(heard.webhook_id or '-')}", _signature(heard), _age(heard.age)]
    if heard.is_duplicate:
        parts.append(click.style(f"seen before, {heard.times} times by now", fg="yellow"))
    return f"{clock}  {_content(heard)}\n          {', '.join(parts)}, answers {heard.answer}"


def _content(heard: Heard) -> str:
    """Return the envelope on one line, or how the body begins if it holds no JSON object."""
    if not heard.envelope:
        return f"no JSON object: {_short(heard.excerpt)}"
    data = heard.data
    order, state = _short(data.get("order_id")), _short(data.get("state"))
    told = data.get("error", data.get("result"))
    return f"order {order}  {state}  {_short(heard.envelope.get('msg'))}  {_short(told)}"


def _signature(heard: Heard) -> str:
    shown = click.style(_WORDS[heard.signature], fg=_COLOURS.get(heard.signature, "red"))
    return f"{shown} ({heard.reason})" if heard.reason else shown


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "no timestamp"
    return f"{seconds} s old" if seconds >= 0 else f"from {-seconds} s ahead"


def _short(value: Any) -> str:
    """Return a received value as text without control characters, cut to 200 characters."""
    text = cell(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
