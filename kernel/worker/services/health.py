"""What fails in this process, and since when it has reached the database without a break."""

import logging
import time

from kernel.db.errors import driver_error, is_outage, is_passing

log = logging.getLogger(__name__)


class Health:
    """Notes how turns of services and housekeeping jobs end. Belongs to the dispatcher's thread.

    A failure is logged when it begins, not each time it is repeated.
    """

    def __init__(self) -> None:
        self._reached_since: float | None = None
        self._failing: dict[str, type[Exception]] = {}

    def worked(self, name: str, *, asked: bool = False) -> None:
        """Note that ``name`` ended well; ``asked``: the database has answered it."""
        if self._failing.pop(name, None) is not None:
            log.warning("%s: works again", name)
        if asked and self._reached_since is None:
            self._reached_since = time.monotonic()

    def failed(self, name: str, error: Exception) -> None:
        """Note that ``name`` failed. An outage of the database begins its time anew."""
        if is_outage(error):
            self._reached_since = None
        if self._failing.get(name) is type(error):
            return
        self._failing[name] = type(error)
        if is_passing(error):
            log.warning("%s: database: %s; trying again", name, driver_error(error))
        else:
            log.error("a turn failed: %s", name, exc_info=error)

    def has_reached_database_for(self, seconds: float) -> bool:
        """Tell whether the database was reached without a break for the last ``seconds``."""
        since = self._reached_since
        return since is not None and time.monotonic() - since >= seconds
