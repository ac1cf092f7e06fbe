"""What a handler is given: the arguments of its order with their secrets in place again.

And what is masked in the errors of its run: those secrets, and what secret steps have told it.
"""

import logging
import traceback
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from pydantic import SecretStr, ValidationError

from kernel.errors import Reject, Retry, SecretsLocked
from kernel.handlers.registering.secret_fields import Path, restored, unpacked, without
from kernel.orders.secrets.arguments import SecretsGone, are_gone
from kernel.runs.claim import Claimed
from kernel.runs.ends.exits import text_of
from kernel.runtime.kernel import Kernel

log = logging.getLogger("kernel.runs.execute")
# Seconds until an order is tried again whose secrets no key of this process opens.
LOCKED_SECONDS = 60.0
# What a step has told is masked from this length on: shorter words stand in every text.
SHORTEST = 4


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
    of_steps: Collection[str] = (),
) -> None:
    """Log an error of a run with its traceback; secrets of the order are masked in it.

    A database's error quotes values as well: of a constraint that is looked at with the COMMIT.
    """
    if not has_secrets(claimed, of_steps):
        log.error(said, exc_info=failure, extra=extra)
        return
    lines = traceback_of(claimed, failure, of_steps)
    told = without_secrets(kernel, claimed, lines, of_steps)
    log.error("%s\n%s", said, told, extra=extra)


def has_secrets(claimed: Claimed, of_steps: Collection[str]) -> bool:
    """Tell whether an error of a run may quote a secret that is known here."""
    return claimed.secret_args is not None or bool(of_steps)


def traceback_of(claimed: Claimed, failure: BaseException, of_steps: Collection[str] = ()) -> str:
    """Return an error's traceback as a text.

    Pydantic's error quotes what was given, and of a long text a part, in which no secret is found:
    where the order has secrets, only the places are told.
    """
    if not (has_secrets(claimed, of_steps) and isinstance(failure, ValidationError)):
        return "".join(traceback.format_exception(failure))
    return "".join([*traceback.format_tb(failure.__traceback__), unfit(failure)])


def unfit(error: ValidationError) -> str:
    """Return what does not fit a model, without what was given."""
    return f"does not fit {error.title}: {', '.join(places_of(error))}"


def places_of(error: ValidationError) -> list[str]:
    """Return the places of what does not fit a model."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [".".join(map(str, one["loc"])) for one in found]


def without_secrets(
    kernel: Kernel, claimed: Claimed, said: str, of_steps: Collection[str] = ()
) -> str:
    """Return what an error says, for logs and callers, with the order's secrets masked.

    ``of_steps``: as `kernel.handlers.steps.Steps.secrets`. A handler whose secret arguments no key
    opens has not seen them.
    """
    if not has_secrets(claimed, of_steps):
        return said
    secrets: dict[Path, Any] = {(-1, n): text for n, text in enumerate(of_steps)}
    if claimed.secret_args is not None:
        with suppress(SecretsLocked):
            secrets |= unpacked(kernel.keyring.open(claimed.secret_args))
    return without(said, secrets)


def texts_in(value: Any) -> Iterator[str]:
    """Yield what of a JSON value is a secret in a text that quotes it; no names of members."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)
    elif not isinstance(value, bool | None):
        yield from _with_lines(str(value))


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield all that an error says, and those that led to it: each may quote the same secret.

    The words of kernel's own are no secret, as that the time limit is over.
    """
    left, seen = [error], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        notes = getattr(one, "__notes__", ())
        is_ours = type(one).__module__ == Retry.__module__ and not isinstance(one, Reject | Retry)
        for said in () if is_ours else (text_of(one), *one.args, *notes):
            if isinstance(said, str):
                yield from _with_lines(said)
        parts = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        behind = (one.__cause__, one.__context__, *parts)
        left += [each for each in behind if each is not None]


def _with_lines(text: str) -> Iterator[str]:
    yield from (one for one in {text, *text.splitlines()} if len(one.strip()) >= SHORTEST)


def open_secret(kernel: Kernel, stored: str) -> SecretStr:
    """Open a secret of an order that runs. Raises Retry when no key of this process does."""
    try:
        return kernel.keyring.open(stored)
    except SecretsLocked as error:
        raise Retry(LOCKED_SECONDS, reason=error.message) from None
