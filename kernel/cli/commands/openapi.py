"""`kernel openapi`: print the API document for people who build clients."""

import click

from kernel.cli.terminal.output import print_json
from kernel.config.settings import load
from kernel.handlers import load_handlers
from kernel.views.openapi.document import document


@click.command()
@click.option("--server", default="/", help="URL under which clients reach it.  [default: /]")
def openapi(server: str) -> None:
    """Print the API document (OpenAPI 3.1).

    It describes an order, with an example, for each select_tag of KERNEL_HANDLERS. Needs no
    database.
    """
    print_json(document(load_handlers(load().handlers), server))
