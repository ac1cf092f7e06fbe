"""A program that runs for an order, as the worker sees it; `supervise` stands between the two.

This process alone holds the end of the pipe that keeps the program alive: all of it is killed when
this process ends, in order or not.
"""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

SUPERVISE = str(Path(__file__).with_name("supervise.py"))
# In the environment of a child: which pool process has started it, for the worker's main process.
MARK = "_KERNEL_STARTED_BY"
# What the supervising Python may need to find its own library.
LOADER = "LD_LIBRARY_PATH"
BLOCK = 65_536
# `supervise` takes up to 10 s to kill what it has started.
LEAVE_SECONDS = 15.0
OUT, ERR = "stdout", "stderr"

Stream = TypeVar("Stream")


@dataclass(frozen=True)
class Start:
    """What is to be started, without a shell: each entry of ``argv`` is one argument.

    ``descriptors`` are open in the program, and nothing else beside its three streams.
    """

    program: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    stdin: bytes = b""
    descriptors: Sequence[int] = ()


@dataclass(frozen=True)
class Ended:
    """How a program ended: with a code, by a signal, or before it began."""

    code: int | None = None
    signal: int | None = None
    failed: str = ""

    @property
    def told(self) -> str:
        """How, in words for a log."""
        if self.failed:
            return f"not started: {self.failed}"
        return f"exit code {self.code}" if self.signal is None else f"signal {self.signal}"


def anonymous_file(text: bytes) -> int:
    """Return a descriptor, to be closed, of a file of mode 0600 without a name that holds ``text``.

    Its mode says that it is no program: some would run a file of secrets that is one.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("kernel", os.MFD_CLOEXEC)
    else:
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    os.fchmod(descriptor, 0o600)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Supervised:
    """A program that runs; everything of it is killed when the block is left.

    Raises OSError when no process can be started at all.
    """

    def __init__(self, start: Start) -> None:
        self.ended: Ended | None = None
        self._input = memoryview(start.stdin)
        self._told = b""
        self._selector = selectors.DefaultSelector()
        asked, self._ask = os.pipe()
        self._report, report = os.pipe()
        kept = {one: os.environ[one] for one in (MARK, LOADER) if one in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", SUPERVISE, str(asked), str(report)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(asked, report, *start.descriptors),
                env=kept,
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        except OSError:
            self._close(self._ask, self._report)
            raise
        finally:
            self._close(asked, report)
        self._register()
        mark = {MARK: kept[MARK]} if MARK in kept else {}
        said = {
            "program": start.program,
            "argv": list(start.argv),
            "environment": {**start.environment, **mark},
            "directory": start.directory,
        }
        with suppress(BrokenPipeError), open(self._ask, "wb", closefd=False) as file:
            file.write(json.dumps(said).encode() + b"\n")

    def _register(self) -> None:
        streams = ((self._process.stdout, OUT), (self._process.stderr, ERR))
        for stream, name in streams:
            self._selector.register(_there(stream), selectors.EVENT_READ, name)
        self._selector.register(self._report, selectors.EVENT_READ)
        stdin = _there(self._process.stdin)
        os.set_blocking(stdin.fileno(), False)
        self._selector.register(stdin, selectors.EVENT_WRITE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def is_open(self) -> bool:
        """Whether the program may say more, or has not ended."""
        return bool(self._selector.get_map())

    def read(self, seconds: float) -> Iterator[tuple[str, bytes]]:
        """Yield what the program says within ``seconds``, of which stream; feed it its input."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj == self._report:
                self._hear()
            elif key.data is None:
                self._feed()
            elif said := os.read(key.fd, BLOCK):
                yield key.data, said
            else:
                self._selector.unregister(key.fileobj)

    def _feed(self) -> None:
        stdin = _there(self._process.stdin)
        try:
            self._input = self._input[os.write(stdin.fileno(), self._input) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it reads no more
            self._input = self._input[:0]
        if not self._input:
            self._selector.unregister(stdin)
            stdin.close()

    def _hear(self) -> None:
        said = os.read(self._report, BLOCK)
        self._told += said
        if not said:
            self._selector.unregister(self._report)
            self.ended = Ended(**json.loads(self._told)) if self._told else Ended(signal=9)
            self._stop_feeding()

    def _stop_feeding(self) -> None:
        stdin = _there(self._process.stdin)
        if not stdin.closed:
            self._selector.unregister(stdin)
            stdin.close()

    def terminate(self) -> None:
        """Ask the program, and what is in its process group, to end (SIGTERM)."""
        with suppress(BrokenPipeError):
            os.write(self._ask, b"T")

    def kill(self) -> None:
        """Kill the program and everything that it has started; return when they are gone."""
        if self._ask < 0:
            return
        self._close(self._ask)
        self._ask = -1
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:  # stuck in the system; the worker's main has what is left
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._close(self._report)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            _there(stream).close()

    @staticmethod
    def _close(*descriptors: int) -> None:
        for one in descriptors:
            os.close(one)


def _there(stream: Stream | None) -> Stream:
    if stream is None:
        raise RuntimeError("the program has no such stream")
    return stream
