"""What the screen of `kernel up --reload` says when files of handlers change.

The programs take the new handlers by themselves (`kernel.runtime.fresh_handlers`); this process
does as well, to say what is wrong with a file that they cannot take.
"""

import time
from pathlib import Path

import click

from kernel.config.settings import Settings
from kernel.errors import ConfigurationError
from kernel.handlers.registering.settings import load_own
from kernel.handlers.reloading import LOOK_SECONDS, Sources


class HandlersFollower:
    """Follows the handlers of ``settings``; waits, when made, until they can be imported."""

    def __init__(self, settings: Settings) -> None:
        self._sources = Sources(settings.handlers)
        self._said = ""
        self._config = Path("kernel.toml")
        self._configured = self._stamp()
        while not self._is_loaded():
            while not self._sources.have_changed() and self._stamp() == self._configured:
                time.sleep(LOOK_SECONDS)  # for the author
            self._configured = self._stamp()

    def begin(self) -> None:
        """Say that changes are followed."""
        count = len(self._sources.files)
        click.echo(f"\nHandlers are taken anew when one of their files changes: {count} watched.")

    def look(self) -> None:
        """Say what has changed since the last look, and whether it is in use."""
        if self._stamp() != self._configured:
            self._configured = self._stamp()
            click.echo("kernel.toml has changed: settings are read at the start; stop and start")
        if self._sources.have_changed():
            names = ", ".join(one.name for one in self._sources.changed)
            if self._is_loaded():
                click.echo(f"reloaded: {names}")

    def _is_loaded(self) -> bool:
        try:
            loaded = self._sources.load()
            load_own(one.declared for one in loaded.parts)
        except ConfigurationError as error:
            if error.message != self._said:
                click.secho(error.message, err=True, fg="red")
                click.echo("(what was loaded before goes on; mend it and save)", err=True)
            self._said = error.message
            return False
        self._said = ""
        return True

    def _stamp(self) -> int:
        try:
            return self._config.stat().st_mtime_ns
        except OSError:
            return 0
