"""`kernel listen`: shows callbacks as they arrive, and answers them as its options say."""

import queue
import re
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from kernel.cli.commands.receivers.options import pair_of
from kernel.cli.local.listener import Heard, Listener, Manner, Signature
from kernel.cli.local.preview import Preview
from kernel.cli.local.receiver import HOST, Postbox
from kernel.cli.local.showing import WORDS, printed
from kernel.cli.numbers import Finite
from kernel.cli.terminal.output import as_json
from kernel.errors import AddressRefused
from kernel.formats.signing import decode_secret
from kernel.transport.addresses import CallbackPolicy, check_url

PORT = 8090
NET = f"{HOST}/32"
_HEADER = re.compile(r"[\x21-\x7e]+")


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
            type=click.IntRange(1, 1_000_000),
            metavar="N",
            help="Do so for the first N callbacks only (500 by default), then answer 200.",
        ),
        click.option(
            "--retry-after",
            type=click.IntRange(0, 366 * 86_400),
            metavar="S",
            help="Send Retry-After: S with that answer.",
        ),
        click.option(
            "--delay",
            type=Finite(0, 3600),
            default=0.0,
            metavar="S",
            help="Wait S seconds before each answer.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _profile(command: Any) -> Any:
    """Add the options that say by which profile to show callbacks."""
    options = (
        click.option("--profile", metavar="NAME", help="Show what this profile makes of each."),
        click.option("--set", "variables", multiple=True, metavar="K=V", help="[repeatable]"),
        click.option(
            "--outcome", "outcomes", multiple=True, metavar="STATE.KEY=VALUE", help="[repeatable]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _preview(secrets: Sequence[str], given: dict[str, Any]) -> Preview | None:
    """Take the profile's options out of ``given``."""
    name, texts = given.pop("profile"), (given.pop("variables"), given.pop("outcomes"))
    if name is None:
        if any(texts):
            raise click.UsageError("--set and --outcome go with --profile")
        return None
    try:
        variables, outcomes = (dict(map(pair_of, one)) for one in texts)
        return Preview(name, variables, outcomes, secrets)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@click.command()
@_port_option
@_secret_option
@_manner
@_profile
@as_json
def listen(port: int, secrets: list[str], machine: bool, **manner: Any) -> None:
    """Receive callbacks on this host and show them.

    Shows for each callback whether its signature and age are right, and whether it is a
    duplicate. Answers 200 by default; with --secret, 401 to a callback whose signature or age is
    wrong. With --profile it shows the request that the profile would make of each callback.

    --json prints a line of JSON per callback, and everything else to stderr.
    """
    if manner["retry_after"] is not None and not (manner["status"] or manner["fail_first"]):
        raise click.UsageError("--retry-after goes with --status or --fail-first")
    preview = _preview(secrets, manner)
    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    listener = Listener(secrets, Manner(**manner), heard.put)
    try:
        postbox = Postbox(listener.answer, port, lambda _: _say_hung_up())
    except OSError as error:
        raise click.UsageError(f"port {port}: {error.strerror}; choose one with --port") from None
    with postbox:
        _welcome(postbox.url, bool(secrets), machine)
        _summarize(_show_until_stopped(heard, machine, preview), machine)


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


def _show_until_stopped(
    heard: "queue.SimpleQueue[Heard]", machine: bool, preview: Preview | None
) -> Counter[str]:
    """Print callbacks until Ctrl-C or SIGTERM; return their number by kind."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell starts `... &` ignoring SIGINT
        signal.signal(number, signal.default_int_handler)
    counts: Counter[str] = Counter()
    try:
        while True:
            one = heard.get()
            counts.update(["callback", one.signature, *(["duplicate"] * one.is_duplicate)])
            click.echo(printed(one, machine, preview))
    except KeyboardInterrupt:
        return counts


def _summarize(counts: Counter[str], machine: bool) -> None:
    """Print the summary line."""
    total = counts["callback"]
    kinds = [f"{counts[one]} {WORDS[one]}" for one in Signature if counts[one]]
    if counts["duplicate"]:
        kinds.append(f"{counts['duplicate']} seen before")
    text = f"{total} callback{'' if total == 1 else 's'}"
    click.echo(f"\n{text}{': ' * bool(kinds)}{', '.join(kinds)}", err=machine)


def _say_hung_up() -> None:
    click.echo("          the sender hung up before the answer", err=True)
