"""Seal what people changed, and forget old counts of refused keys."""

import logging
from contextlib import suppress

from sqlalchemy.exc import IntegrityError

from kernel.callers.audit import refusals, seals
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept

log = logging.getLogger(__name__)


def seal_acts(kernel: Kernel, _swept: Swept) -> None:
    """Seal acts that are older than a minute. Most sweeps find none: they read, and write nothing.

    The log has each seal, for `kernel audit verify --expect`.
    """
    with kernel.read() as connection:
        found = seals.unsealed(connection, kernel.clock, kernel.one(_sealed_acts))
    if found is None:
        return
    with suppress(IntegrityError):  # another process has sealed first
        with kernel.write() as connection:
            made = seals.seal(connection, kernel.clock, found)
        log.info("acts sealed", extra={"seal": made})


def forget_refusals(kernel: Kernel, _swept: Swept) -> None:
    """Delete counts of refused keys that are older than a month."""
    limit = kernel.clock.now() - refusals.KEPT
    with kernel.read() as connection:
        oldest = refusals.oldest(connection)
    if oldest is not None and oldest < limit:
        with kernel.write() as connection:
            refusals.forget(connection, limit)


def _sealed_acts(_kernel: Kernel) -> seals.SealedActs:
    return seals.SealedActs()
