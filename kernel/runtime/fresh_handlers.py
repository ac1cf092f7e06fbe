"""A process whose handlers follow their files: for development, with KERNEL_RELOAD=on."""

import logging
import threading

from kernel.errors import ConfigurationError
from kernel.handlers.registering.settings import load_own
from kernel.handlers.reloading import LOOK_SECONDS, Sources
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)


class FreshHandlers:
    """Gives a kernel its handlers anew when their files have changed; one for each process.

    Made when they have just been loaded, in the parent perhaps: a child that was forked later finds
    what has changed since. What cannot be imported changes nothing: `kernel up` says why.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._sources = Sources(kernel.settings.handlers)
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to look, after the fork; ends with the kernel."""
        self._kernel.on_close.append(self._ended.set)
        self.look()
        threading.Thread(target=self._follow, name="fresh-handlers", daemon=True).start()

    def look(self) -> None:
        """Load the handlers if they have changed, with the settings that they have."""
        if self._sources.have_changed():
            try:
                loaded = self._sources.load()
                self._kernel.own_settings = load_own(one.declared for one in loaded.parts)
                self._kernel.handlers = loaded
            except ConfigurationError as error:
                log.debug("the old handlers stay: %s", error)

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.look()


def note_sources(kernel: Kernel) -> None:
    """Note which files the handlers were loaded from, before a fork; see `keep_fresh`."""
    if kernel.settings.reload == "on":
        kernel.one(FreshHandlers)


def keep_fresh(kernel: Kernel) -> None:
    """Have the handlers of this process follow their files, where KERNEL_RELOAD says so."""
    if kernel.settings.reload == "on":
        kernel.one(FreshHandlers).start()
