"""What a handler is given: the arguments of its order with their secrets in place again."""

import logging
import traceback
from typing import Any

from pydantic import SecretStr

from kernel.errors import Retry, SecretsLocked
from kernel.handlers.registering.secret_fields import restored, unpacked, without
from kernel.orders.secrets.arguments import SecretsGone, are_gone
from kernel.runs.claim import Claimed
from kernel.runtime.kernel import Kernel

log = logging.getLogger("kernel.runs.execute")
# Seconds until an order is tried again whose secrets no key of this process opens.
LOCKED_SECONDS = 60.0


def arguments(kernel: Kernel, claimed: Claimed) -> str:
    """Return the JSON text of the arguments as they were submitted.

    Raises SecretsGone when secrets are missing, and Retry when no key opens them: another worker,
    or this one with its key, runs the order then.
    """
    if claimed.secret_args is None:
        if are_gone(claimed.handler, claimed.args):
            raise SecretsGone
        return claimed.args
    return restored(claimed.args, open_secret(kernel, claimed.secret_args))


def log_failure(
    kernel: Kernel,
    claimed: Claimed,
    failure: BaseException,
    extra: dict[str, Any],
    said: str = "bug in a handler",
) -> None:
    """Log an error of a run with its traceback; secrets of the order are masked in it.

    A database's error quotes values as well: of a constraint that is looked at with the COMMIT.
    """
    if claimed.secret_args is None:
        log.error(said, exc_info=failure, extra=extra)
        return
    told = without_secrets(kernel, claimed, "".join(traceback.format_exception(failure)))
    log.error("%s\n%s", said, told, extra=extra)


def without_secrets(kernel: Kernel, claimed: Claimed, said: str) -> str:
    """Return what an error says, for logs and callers, with the order's secrets masked.

    A handler whose secrets no key opens has not seen them.
    """
    if claimed.secret_args is None:
        return said
    try:
        opened = kernel.keyring.open(claimed.secret_args)
    except SecretsLocked:
        return said
    return without(said, unpacked(opened))


def open_secret(kernel: Kernel, stored: str) -> SecretStr:
    """Open a secret of an order that runs. Raises Retry when no key of this process does."""
    try:
        return kernel.keyring.open(stored)
    except SecretsLocked as error:
        raise Retry(LOCKED_SECONDS, reason=error.message) from None
