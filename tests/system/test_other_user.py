"""What another user of the same machine gets of an installation: nothing.

Started with a umask of 0, as the worst one. The other user is nobody (65534), by setpriv.
"""

import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from kernel.cli.local import programs
from kernel.config.private_files import make_folder, mend_folder, opener
from kernel.db.engine import make_engine
from kernel.db.schema import migrate
from tests.support.programs import Command
from tests.support.servers import missing
from tests.support.waiting import wait_until

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
LOOK = """
import os, pathlib, sys
def entries(folder):
    try:
        return list(pathlib.Path(folder).iterdir())
    except OSError:
        return []
def content(file):
    try:
        return pathlib.Path(file).read_bytes()
    except OSError:
        return b""
for name in sys.argv[1:]:
    for file in [pathlib.Path(name), *entries(name)]:
        if content(file):
            print(file)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into, and a umask of 0."""
    folder = Path(tempfile.mkdtemp(prefix="kernel-open-"))
    before = os.umask(0)
    folder.chmod(0o755)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


def modes(folder: Path) -> dict[str, int]:
    found = [folder, *folder.rglob("*")]
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in found}


def look(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", timeout=60)


def read_by_nobody(*files: Path) -> str:
    """The files that another user can read, found by looking, and by their names."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        missing("only root can become another user, with setpriv")
    command = [*NOBODY, sys.executable, "-I", "-S", "-c", LOOK, *map(str, files)]
    done = look(command)
    if "Permission denied" in done.stderr and not done.stdout:  # this interpreter is root's alone
        command[len(NOBODY)] = "/usr/bin/python3"
        done = look(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_other_user_reads_what_is_open_to_all(open_folder: Path) -> None:
    """That the look can find something."""
    (open_folder / "open").write_text("x")
    assert read_by_nobody(open_folder).split() == [str(open_folder / "open")]


def test_database_is_private_when_it_is_migrated(open_folder: Path) -> None:
    file = open_folder / "var" / "deeper" / "kernel.db"
    url = f"sqlite:///{file}"
    migrate.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM kernel_orders")
        assert modes(open_folder / "var") == {
            "var": 0o700,
            "deeper": 0o700,
            "kernel.db": 0o600,
            "kernel.db-wal": 0o600,
            "kernel.db-shm": 0o600,
        }
        (open_folder / "var").chmod(0o755)
        (open_folder / "var" / "deeper").chmod(0o755)
        names = ("kernel.db", "kernel.db-wal", "kernel.db-shm")
        assert read_by_nobody(*(file.with_name(name) for name in names)) == ""
    engine.dispose()


def test_older_database_is_mended_with_a_warning(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{open_folder}/kernel.db"
    migrate.upgrade(url)
    (open_folder / "kernel.db").chmod(0o644)
    (open_folder / "kernel.db-wal").touch(0o644)
    with caplog.at_level(logging.WARNING, "kernel"):
        engine = make_engine(url)
        engine.connect().close()
        engine.dispose()
    assert "kernel.db could be read by other users; now it is mode 600" in caplog.text
    assert set(modes(open_folder).values()) == {0o755, 0o600}


def test_older_folder_and_log_are_mended(open_folder: Path) -> None:
    (open_folder / "var").mkdir(0o755)
    (open_folder / "var" / "api.log").touch(0o666)
    mend_folder(open_folder / "var")
    with open(open_folder / "var" / "api.log", "a", opener=opener):
        assert modes(open_folder / "var") == {"var": 0o700, "api.log": 0o600}


def test_folder_that_was_there_is_left_alone(open_folder: Path) -> None:
    make_folder(open_folder)
    assert modes(open_folder) == {open_folder.name: 0o755}


def test_locks_are_kept_when_another_connection_is_opened(open_folder: Path) -> None:
    """Closing a descriptor of the file would free the locks that the process has on it."""
    url = f"sqlite:///{open_folder}/kernel.db"
    migrate.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM kernel_orders")
        locks = Path("/proc/locks").read_text()
        engine.connect().close()
        inode = str((open_folder / "kernel.db-shm").stat().st_ino)
        assert inode in locks
        assert Path("/proc/locks").read_text().count(inode) >= locks.count(inode)
    engine.dispose()


def broker_port(folder: Path) -> int:
    """The port of the broker that runs in this folder, as `ps` shows it."""
    named = re.compile(rb"(?:redis|valkey)-server.*?(?:127\.0\.0\.1:|--port\x00)(\d+)", re.DOTALL)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() in (folder, folder / "var"):
                found = named.search((process / "cmdline").read_bytes())
                if found is not None:
                    return int(found[1])
    raise AssertionError("no broker")


def test_everything_of_kernel_up_is_private(open_folder: Path) -> None:
    bind = f"127.0.0.1:{programs.free_port()}"
    settings = {"bind": bind, "worker_processes": "1", "api_processes": "1"}
    with Command(open_folder, "up", **settings) as command:
        command.wait_for("See how it ended")
        var = open_folder / "var"
        wait_until((var / "kernel.db").exists)
        found = modes(var)
        assert found.pop("var") == 0o700
        assert {"kernel.db", "kernel.db-wal", "up.lock", "broker.conf"} <= set(found)
        assert set(found.values()) == {0o600}
        assert read_by_nobody(var, *var.iterdir()) == ""
        shown = subprocess.check_output(["ps", "-eo", "pid,args"], text=True)
        password = (var / "broker.conf").read_text().split()[1]
        assert password not in shown
        port = broker_port(open_folder)
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.keys()
        with Redis(port=port, password=password) as known:
            assert known.ping()
        assert command.stop(signal.SIGTERM) == 0
