"""Errors that quote a secret argument: neither log nor answer says it."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretBytes, SecretStr, field_validator
from sqlalchemy import text

from kernel.errors import TimeLimit
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import ANYBODY, CALLBACK
from tests.support.sealing import SECRETS_KEY

SECRET = "correct-horse-battery"


class Sideways(BaseModel, str_strip_whitespace=True):
    """Arguments with secrets that the schema does not tell, or that the model changes."""

    pin: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("pin", "code"))
    raw: SecretBytes = SecretBytes(b"")
    word: SecretStr = SecretStr("")

    @field_validator("word")
    @classmethod
    def _is_known(cls, word: SecretStr) -> SecretStr:
        return {"7319": word, "": word}[word.get_secret_value()]


@pytest.mark.parametrize(
    ("args", "leaks"),
    [
        ({"code": SECRET}, lambda args: args.pin.get_secret_value()),
        ({"pin": f" {SECRET}\n"}, lambda args: args.pin.get_secret_value().strip()),
        ({"raw": f"{SECRET}é"}, lambda args: repr(args.raw.get_secret_value())),
    ],
)
def test_log_of_a_bug_masks_secrets_however_they_were_found(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
    args: dict[str, Any],
    leaks: Callable[[Sideways], str],
) -> None:
    handlers = Handlers()

    @handlers.register("sideways", Sideways)
    def sideways(run: Run, args: Sideways) -> dict[str, Any]:
        raise RuntimeError(f"no luck with <{leaks(args)}>")

    kernel = make_kernel(sqlite_url, handlers=handlers, secrets_key=SECRETS_KEY)
    members = {"select_tag": "sideways", "callback_url": CALLBACK} | args
    submit(kernel, ANYBODY, order_request(members, kernel.handlers))
    drain(kernel, raise_bugs=False)
    assert "no luck with <•••>" in caplog.text.replace("b'•••'", "•••")
    assert SECRET not in caplog.text


def test_log_of_a_time_limit_masks_secrets(
    make_kernel: Callable[..., Kernel], sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = Handlers()

    @handlers.register("late", Sideways)
    def late(run: Run, args: Sideways) -> dict[str, Any]:
        raise TimeLimit(f"no answer for {args.pin.get_secret_value()}")

    kernel = make_kernel(sqlite_url, handlers=handlers, secrets_key=SECRETS_KEY)
    members = {"select_tag": "late", "callback_url": CALLBACK, "pin": SECRET}
    submit(kernel, ANYBODY, order_request(members, kernel.handlers))
    drain(kernel)
    assert "timed out: no answer for •••" in caplog.text
    assert SECRET not in caplog.text


def test_log_of_a_commit_that_is_refused_masks_secrets(
    make_kernel: Callable[..., Kernel], postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = Handlers()

    @handlers.register("twice", Sideways)
    def twice(run: Run, args: Sideways) -> dict[str, Any]:
        name = {"name": args.pin.get_secret_value()}
        run.session.execute(text("INSERT INTO named VALUES (:name), (:name)"), name)
        return {}

    kernel = make_kernel(postgresql_url, handlers=handlers, secrets_key=SECRETS_KEY)
    with kernel.write() as connection:
        connection.execute(
            text("CREATE TABLE named (name TEXT UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )
    members = {"select_tag": "twice", "callback_url": CALLBACK, "pin": SECRET}
    submit(kernel, ANYBODY, order_request(members, kernel.handlers))
    drain(kernel, raise_bugs=False)
    assert "(name)=(•••) already exists" in caplog.text
    assert SECRET not in caplog.text


def test_error_of_a_validator_quotes_no_secret() -> None:
    handlers = Handlers()
    handlers.register("sideways", Sideways)(lambda run, args: {})
    members = {"select_tag": "sideways", "callback_url": CALLBACK, "word": SECRET}
    with pytest.raises(Exception, match="KeyError: '•••'") as raised:
        order_request(members, handlers)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
