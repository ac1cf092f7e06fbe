"""A command as a handler: what it starts for an order, and what becomes of the order."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from kernel.errors import Reject
from kernel.handlers.commands.arguments import given_of, values_of
from kernel.handlers.commands.ends import INTERRUPTED, outcome
from kernel.handlers.commands.lines import Heard, printable
from kernel.handlers.commands.process import ERR, OUT, Ended, Start, Supervised, anonymous_file
from kernel.handlers.commands.tables import Command
from kernel.handlers.commands.templates import Entry, Text, Value
from kernel.handlers.commands.watch import Watch
from kernel.handlers.registering.secret_fields import Path, without
from kernel.handlers.run import Partial, Run

log = logging.getLogger(__name__)

DEFAULTS = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
# What stands for the order's id in every text of a command.
ORDER_ID = "order_id"
# A line of a secret that is shorter tells nothing, and stands in every other text.
SHORT = 8


@dataclass(frozen=True)
class Program:
    """The function of a handler that starts a program; `kernel.handlers.commands.file` makes it."""

    command: Command
    argv: tuple[Entry, ...]
    environment: Mapping[str, Text]
    files: Mapping[str, Text]
    stdin: Text | None

    def __call__(self, run: Run, args: BaseModel) -> dict[str, Any] | Partial:
        """Run the program once; return its result, or raise how it failed."""
        self._note_begin(run)
        secrets = _secrets(args)
        heard = Heard(self.command.lines, lambda text: without(text, secrets) if secrets else text)
        with self._started(run, args) as start:
            ended = self._followed(run, start, heard)
        tails = (heard.tail(OUT), heard.tail(ERR))
        log.info("command ended: %s\nstdout: %s\nstderr: %s", ended.told, *tails)
        return outcome(self.command, ended, heard)

    def _followed(self, run: Run, start: Start, heard: Heard) -> Ended:
        if not start.program:
            path = start.environment.get("PATH", "")
            return Ended(failed=f"there is no such program on this machine, in PATH={path}")
        try:
            process = Supervised(start)
        except OSError as error:
            return Ended(failed=str(error))
        with process:
            return Watch(self.command, run, process, heard).follow()

    def missing(self) -> Iterator[str]:
        """Yield what this machine does not have: the program, the directory that it is run in."""
        if not self._found(self._environment({})):
            yield self.command.program
        if not os.path.isdir(self.command.directory):
            yield f"the directory {self.command.directory}"

    def _note_begin(self, run: Run) -> None:
        """Commit that the program is about to begin, unless it may be run again.

        Raises Reject when an earlier run has begun it: what that one did is not known.
        """
        if self.command.again:
            return
        if run.state is not None:
            raise Reject(
                INTERRUPTED,
                f"{self.command.program} was interrupted, and may have done a part of its work: "
                "see to it, then submit the order again",
            )
        run.checkpoint(0, state={"begun": run.number})

    @contextmanager
    def _started(self, run: Run, args: BaseModel) -> Iterator[Start]:
        """Yield what is to be started; the files of secrets are there meanwhile."""
        values = values_of(self.command, args) | {ORDER_ID: run.order_id}
        with ExitStack() as closing:
            descriptors = []
            for name, text in self.files.items():
                one = anonymous_file(text.fill(values).encode())
                closing.callback(os.close, one)
                descriptors.append(one)
                values[name] = f"/dev/fd/{one}"
            environment = self._environment(values) | _of_order(run)
            argv = [one for entry in self.argv for one in entry.fill(values, given_of(args))]
            yield Start(
                program=self._found(environment),
                argv=[self.command.program, *argv],
                environment=environment,
                directory=self.command.directory,
                stdin=self._input(values, args),
                descriptors=descriptors,
            )

    def _environment(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Return the variables; those that name an argument that is not given are left out."""
        kept = {name: os.environ[name] for name in self.command.keep if name in os.environ}
        made = {
            name: text.fill(values)
            for name, text in self.environment.items()
            if all(values.get(one) is not None for one in text.names)
        }
        return DEFAULTS | kept | made

    def _found(self, environment: Mapping[str, str]) -> str:
        return shutil.which(self.command.program, path=environment.get("PATH")) or ""

    def _input(self, values: Mapping[str, Value], args: BaseModel) -> bytes:
        if self.command.stdin_json:
            return json.dumps({name: _plain(one) for name, one in given_of(args).items()}).encode()
        return b"" if self.stdin is None else self.stdin.fill(values).encode()


def _secrets(args: BaseModel) -> dict[Path, str]:
    """Return the secrets of an order, the lines of those that have several, and all of them as
    they are once no screen takes a command from them.
    """
    found: dict[Path, str] = {}
    for name, given in given_of(args).items():
        if isinstance(given, SecretStr):
            text = given.get_secret_value()
            lines = [one for one in text.splitlines() if len(one) >= SHORT]
            told = [text, *lines]
            told += [printable(one) for one in told]
            found |= {(name, number): one for number, one in enumerate(told)}
    return found


def _plain(given: Any) -> Any:
    return given.get_secret_value() if isinstance(given, SecretStr) else given


def _of_order(run: Run) -> dict[str, str]:
    """Return what a program is told of its order: the id is the same in each of its runs."""
    told = {"ID": run.order_id, "RUN": str(run.number), "TAG": run.select_tag}
    if run.reference is not None:
        told["REFERENCE"] = run.reference
    if run.progress is not None and run.progress.current:
        total = "" if run.progress.total is None else f"/{run.progress.total}"
        told["PROGRESS"] = f"{run.progress.current}{total}"
    return {f"KERNEL_ORDER_{name}": value for name, value in told.items()}
