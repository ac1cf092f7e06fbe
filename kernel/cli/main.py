"""The command line `kernel`: puts the commands together and says what went wrong in one line."""

import os
import sys
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from kernel.cli.commands import callback_rules, pauses, watch  # noqa: F401 - each adds commands to its group
from kernel.cli.commands.callers import callers
from kernel.cli.commands.configuration import config
from kernel.cli.commands.database import migrate, sweep
from kernel.cli.commands.deliveries import deliveries
from kernel.cli.commands.listen import listen
from kernel.cli.commands.openapi import openapi
from kernel.cli.commands.orders import orders
from kernel.cli.commands.running import dispatcher, up, worker
from kernel.cli.commands.top import top
from kernel.cli.demo import demo
from kernel.errors import AddressRefused, ConfigurationError, KernelError


class Failure(click.ClickException):
    """What does not work, as one line; never a traceback."""

    exit_code = 1


class Misconfigured(Failure):
    """What the operator has to set right first."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands turn kernel's errors into a line on stderr and an exit code.

    2 for the configuration and for wrong usage, 1 for everything else.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Misconfigured(error.message) from None
        except KernelError as error:
            raise Failure(explain(error)) from None
        except SQLAlchemyError as error:
            raise Failure(f"database: {getattr(error, 'orig', None) or error}") from None
        except OSError as error:
            if error.filename is None:  # not about a file or folder that was named to us
                raise
            raise Failure(str(error)) from None


def explain(error: KernelError) -> str:
    """Return one line that says everything an operator may know about ``error``."""
    parts = [f"{one['pointer'] or '/'}: {one['detail']}" for one in error.data.get("errors", ())]
    if isinstance(error, AddressRefused) and error.setting:
        parts.append(f"allow it with {error.setting}")
    return error.message + (f" {'; '.join(parts)}" if parts else "")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kernel-workorders", prog_name="kernel")
def main() -> None:
    """Take work orders from ticketing systems, commit the work, deliver the callbacks."""
    # As gunicorn and celery do: KERNEL_HANDLERS may name a module in the folder one stands in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


for command in (
    up, demo, migrate, worker, dispatcher, listen, callers, orders, deliveries, top, sweep,
    config, openapi,
):  # fmt: skip
    main.add_command(command)
