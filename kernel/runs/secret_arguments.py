"""What a handler is given: the arguments of its order with their secrets in place again."""

import logging
import traceback
from typing import Any

from pydantic import SecretStr, ValidationError

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
    told = without_secrets(kernel, claimed, traceback_of(claimed, failure))
    log.error("%s\n%s", said, told, extra=extra)


def traceback_of(claimed: Claimed, failure: BaseException) -> str:
    """Return an error's traceback as a text.

    Pydantic's error quotes what was given, and of a long text a part, in which no secret is found:
    where the order has secrets, only the places are told.
    """
    if claimed.secret_args is None or not isinstance(failure, ValidationError):
        return "".join(traceback.format_exception(failure))
    return "".join([*traceback.format_tb(failure.__traceback__), unfit(failure)])


def unfit(error: ValidationError) -> str:
    """Return what does not fit a model, without what was given."""
    return f"does not fit {error.title}: {', '.join(places_of(error))}"


def places_of(error: ValidationError) -> list[str]:
    """Return the places of what does not fit a model."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [".".join(map(str, one["loc"])) for one in found]


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
