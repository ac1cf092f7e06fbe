"""The command line `kernel`: lists the commands, loads one, and says in one line what went wrong.

The modules of the commands load Flask, Celery and SQLAlchemy: more than a second. `COMMANDS` says
where each command is and what `kernel --help` writes about it, so that the list needs none of them.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

import click

from kernel.cli.examples import with_examples
from kernel.cli.loading import uncollected
from kernel.cli.terminal.output import show_what_can_be_shown
from kernel.config.near import did_you_mean
from kernel.errors import AddressRefused, ConfigurationError, KernelError

# The process ends: what it has loaded need not be looked through for garbage, half a second long.
atexit.register(gc.freeze)


class Failure(click.ClickException):
    """An error as one line on stderr, without a traceback; exit code 1."""

    exit_code = 1


class Misconfigured(Failure):
    """A setting or a server that the operator has to correct first; exit code 2."""

    exit_code = 2


class Place(NamedTuple):
    """Where a command is (a module below `kernel.cli`), and its line in `kernel --help`.

    A group that several modules add commands to is taken from the last of them.
    """

    module: str
    line: str


COMMANDS = {
    "audit": Place("commands.callers.audit", "Who changed what, from where and why."),
    "bulk": Place(
        "commands.bulk",
        "Bulk acts: many orders or callbacks at once, as jobs that survive this command.",
    ),
    "callers": Place(
        "commands.callers.key_commands", "Ticketing systems, their API keys and signing secrets."
    ),
    "config": Place("commands.configuration.group", "Settings: KERNEL_* and kernel.toml."),
    "copy": Place("commands.databases.copying", "Take the installation to another database."),
    "deliveries": Place("commands.deliveries.replay", "Callbacks: pending, delivered and dead."),
    "demo": Place("demo", "Show the main job from end to end."),
    "dispatcher": Place("commands.running", "Send callbacks and sweep; run no handlers."),
    "errors": Place(
        "commands.now.errors",
        "Failures by their kind: the tag, the exception's type and the place that raised it.",
    ),
    "limits": Place(
        "commands.limits", "How many orders of a tag run at once, and how often one begins."
    ),
    "listen": Place("commands.listen", "Receive callbacks on this host and show them."),
    "migrate": Place("commands.databases.database", "Bring the database up to date."),
    "notify": Place(
        "commands.now.notify", "Who is told when something is wrong, and when it is over."
    ),
    "openapi": Place("commands.openapi", "Print the API document (OpenAPI 3.1)."),
    "orders": Place("commands.orders.watch", "Work orders."),
    "people": Place(
        "commands.callers.people", "People, their roles, keys and sessions on the dashboard."
    ),
    "receivers": Place(
        "commands.receivers.stats", "Where callers' callbacks go, with the secrets for them."
    ),
    "schedules": Place(
        "commands.schedules", "Recurring orders: submitted at the times of a cron expression."
    ),
    "secrets": Place(
        "commands.configuration.secrets", "The keys that seal secrets in the database."
    ),
    "status": Place(
        "commands.now.status",
        "Say what is wrong, since when, and what to do; and what was done in the last hour.",
    ),
    "sweep": Place("commands.databases.database", "Hint what is due, prune what is old."),
    "top": Place(
        "commands.now.top",
        "Show what is wrong, orders, callbacks, rates and workers, every two seconds.",
    ),
    "trends": Place(
        "commands.now.trends",
        "Show orders, times and callbacks over the last hour, day or week.",
    ),
    "up": Place("commands.running", "Run everything in the foreground."),
    "worker": Place("commands.running", "Run handlers, send callbacks, sweep."),
    "workers": Place(
        "commands.now.workers", "What each process runs; drain a host, terminate a process."
    ),
}


class Commands(click.Group):
    """The group of `COMMANDS`: loads the one that is asked for.

    It turns kernel's errors into a line on stderr and an exit code: 2 for the configuration and
    for wrong usage, 1 for everything else.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        with uncollected():
            module = import_module(f"kernel.cli.{COMMANDS[cmd_name].module}")
        return with_examples(getattr(module, cmd_name), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list as click does, from the table instead of from the commands."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        listed = [click.Command(name, help=COMMANDS[name].line) for name in sorted(COMMANDS)]
        with formatter.section("Commands"):
            formatter.write_dl([(one.name or "", one.get_short_help_str(room)) for one in listed])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of an unknown one, say which was meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{did_you_mean(name, COMMANDS) or '; see --help'}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from sqlalchemy.exc import SQLAlchemyError  # `kernel --help` does not come here

        from kernel.db.errors import explained

        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Misconfigured(error.message) from None
        except KernelError as error:
            raise Failure(explain(error)) from None
        except SQLAlchemyError as error:
            raise Failure(explained(error)) from None
        except UnicodeError as error:
            raise Misconfigured(_no_text(error)) from None
        except OSError as error:
            if error.filename is None:  # not about a file or folder that the user named
                raise
            raise Failure(str(error)) from None


def _no_text(error: UnicodeError) -> str:
    """Say what is no text, and nothing around it: it may be a password that was typed."""
    if not isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return str(error)
    shown = repr(error.object[error.start : error.end])
    return f"an argument, or what was read, holds bytes that are no UTF-8: {shown}"


def explain(error: KernelError) -> str:
    """Return ``error`` as one line: message, list of problems, and the setting that allows it."""
    parts = [f"{one['pointer'] or '/'}: {one['detail']}" for one in error.data.get("errors", ())]
    if isinstance(error, AddressRefused) and error.setting:
        parts.append(f"allow it with {error.setting}")
    return error.message + (f" {'; '.join(parts)}" if parts else "")


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from kernel.db.schema.version import SCHEMA  # loads the ORM

        click.echo(f"kernel {version('kernel-workorders')}, migration {SCHEMA}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and the migration that it needs.",
)
def main() -> None:
    """Take work orders from ticketing systems, commit the work, deliver the callbacks."""
    show_what_can_be_shown()
    # As gunicorn and celery do: KERNEL_HANDLERS may name a module in the current folder.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
