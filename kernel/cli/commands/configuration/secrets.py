"""`kernel secrets`: which keys seal the secrets in the database, new keys, and their rotation."""

from pathlib import Path

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.config.keyring import new_key
from kernel.config.private_files import write_new
from kernel.errors import Conflict, SecretsLocked
from kernel.orders.secrets.arguments import live_with_secrets
from kernel.runtime.rotation import count_sealed
from kernel.runtime.rotation import rotate as rotated

CLEAR = "in clear"
# Orders that a warning names at the most.
NAMED = 10


@click.group()
def secrets() -> None:
    """The keys that seal secrets in the database."""


@secrets.command()
@as_json
def status(machine: bool) -> None:
    """Show how many secrets each key seals; exit code 1 if a key is missing."""
    with opened() as kernel:
        found, ids = count_sealed(kernel), kernel.keyring.ids
    missing = sorted({one.key for one in found if one.key is not None} - set(ids))
    if machine:
        rows = [{"column": one.column, "key": one.key, "rows": one.rows} for one in found]
        print_json({"keys": ids, "missing": missing, "secrets": rows})
    else:
        click.echo(f"keys: {', '.join(ids) or 'none'}" + (" (the first one seals)" if ids else ""))
        print_table(
            [
                {"secrets": one.column, "sealed with": one.key or CLEAR, "rows": one.rows}
                for one in found
            ],
            "there are no secrets",
        )
    if missing:
        raise SecretsLocked(f"there is no key {', '.join(missing)}: add it to KERNEL_SECRETS_KEY")


@secrets.command()
@click.option(
    "--to-clear",
    is_flag=True,
    help="Store all secrets in clear, for an older release or to go without a key.",
)
@with_reason
def rotate(to_clear: bool) -> None:
    """Seal all secrets with the first key, those in clear too.

    Runs beside a service that works, in small transactions. Killed, it goes on where it was when
    it is run again.
    """
    with opened() as kernel:
        changed = rotated(
            kernel,
            lambda line: click.echo(line, err=True),
            to_clear=to_clear,
            by=by_command(),
        )
        ids = kernel.keyring.ids
        live = live_with_secrets(kernel, NAMED + 1) if to_clear else []
    if live:
        more = " and more" if len(live) > NAMED else ""
        click.echo(
            f"warning: {', '.join(live[:NAMED])}{more} have secret arguments and have not ended. A "
            "release without secret arguments would run them with the mask: before it is started, "
            "let them end, or cancel them",
            err=True,
        )
    state = "in clear" if to_clear else f"sealed with the key {ids[0]}"
    click.echo(f"{changed} secrets changed; all are {state}")


@secrets.command("new-key")
@click.option("--file", type=click.Path(path_type=Path), help="Write it to this new file.")
def make_key(file: Path | None) -> None:
    """Print a new key for KERNEL_SECRETS_KEY, or write it to a file.

    Keep a copy where no dump of the database is kept: without the key, secrets are lost.
    """
    text = new_key().get_secret_value() + "\n"
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        write_new(file, text)
    except FileExistsError:
        raise Conflict(f"{file} exists: a key that is overwritten is lost") from None
    except OSError as error:
        raise Conflict(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"written to {file}; set KERNEL_SECRETS_KEY_FILE={file}", err=True)
