"""Makes kernels with commands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.handlers.commands.file import load_commands
from kernel.runtime.kernel import Kernel
from tests.support.commanding import Make

# Tells all that it was given, as its result.
GIVEN = """#!/usr/bin/env python3
import json, os, sys
files = [open(path).read() for path in sys.argv[1:] if path.startswith("/dev/fd/")]
open_ = sorted(int(one) for one in os.listdir("/proc/self/fd"))
told = {"argv": sys.argv[1:], "stdin": sys.stdin.read()}
told |= {"env": dict(os.environ), "cwd": os.getcwd()}
print("::result " + json.dumps(told | {"files": files, "open": open_}))
"""


@pytest.fixture
def make(tmp_path: Path, make_kernel: Callable[..., Kernel], sqlite_url: str) -> Make:
    """Make a kernel with the commands of this text; ``given`` is a program beside the file."""
    program = tmp_path / "given"
    program.write_text(GIVEN)
    program.chmod(0o755)

    def make(text: str) -> Kernel:
        file = tmp_path / "commands.toml"
        file.write_text(text)
        return make_kernel(sqlite_url, load_commands(str(file)))

    return make
