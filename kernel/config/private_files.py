"""Folders and files of kernel's own: for the user it runs as alone, with any umask.

The database of a trial, its write-ahead log, logs and the broker's password lie in them: who reads
them can sign as an operator. Older releases left them to the umask; what they made is mended.
"""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER, FILE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What SQLite puts beside a database; it gives them the modes of the database when it makes them.
_BESIDE = ("-wal", "-shm", "-journal")


def make_folder(folder: Path) -> None:
    """Make ``folder``, and those above it that are missing, for this user alone."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(FOLDER)
    except FileExistsError:  # another process was faster
        return
    folder.chmod(FOLDER)  # a umask may have taken bits from this user


def mend_folder(folder: Path) -> None:
    """Make ``folder`` or take it from others, with a warning."""
    make_folder(folder)
    _mend(folder, FOLDER)


def opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=opener)`: a new one is this user's alone, others' end."""
    found = os.open(path, flags, FILE)
    _mend(Path(path), FILE)
    return found


def write_new(path: Path, text: str) -> None:
    """Write a new file for this user alone, whole or not at all, and have it reach the disk.

    Raises FileExistsError where there is one, and OSError.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE)
    try:
        with open(descriptor, "w") as file:
            os.fchmod(descriptor, FILE)  # a umask may have taken bits from this user
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(beside, path)
    finally:
        beside.unlink()


def secure_database(file: Path) -> None:
    """Make a database's ``file`` before SQLite does; take it from others where an older one is.

    It is never opened here: closing it would free the locks that this process's other connections
    hold on it. Does nothing where it cannot be made: SQLite says why.
    """
    with suppress(OSError):
        os.mknod(file, FILE | stat.S_IFREG)
    for one in (file, *(file.with_name(file.name + end) for end in _BESIDE)):
        _mend(one, FILE)


def inode_of(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that is put in its place; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _mend(path: Path, mode: int) -> None:
    try:
        found = path.stat()
    except OSError:
        return
    if not stat.S_IMODE(found.st_mode) & _OTHERS or stat.S_ISCHR(found.st_mode):
        return
    try:
        path.chmod(mode)
    except OSError as error:
        log.warning("%s can be read by other users, and cannot be mended: %s", path, error)
    else:
        log.warning("%s could be read by other users; now it is mode %o", path, mode)
