"""A private MariaDB whose clock a test sets, by libfaketime. Its host's clock stays as it is."""

import os

from tests.support.servers import MariaDB, find_library, missing

LIBFAKETIME = "faketime/libfaketimeMT.so.1"


class SetClockMariaDB(MariaDB):
    """A MariaDB that believes it is some seconds later, or earlier, than it is."""

    def __init__(self) -> None:
        super().__init__()
        self._offset = self.folder / "offset"
        self.set_clock(0)

    def set_clock(self, seconds: int) -> None:
        """Set the clock this far from the right time, at once; its monotonic clock goes on."""
        written = self._offset.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.rename(self._offset)

    def argv(self) -> list[str]:
        library = find_library(LIBFAKETIME)
        if library is None:
            missing("libfaketime is not installed: ./run test installs it")
        settings = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PATH": os.environ["PATH"],
        }
        return ["env", *(f"{name}={value}" for name, value in settings.items()), *super().argv()]
