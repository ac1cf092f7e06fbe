"""Secret results of steps: sealed, given back to the handler alone, and gone with the order's."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from kernel import Reject, Retry, StepRetry
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.steps import STEPS
from kernel.handlers import Run
from kernel.orders.secrets.arguments import forget_secrets
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import count_sealed, rotate
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import BEGINNING, ForgetSecrets
from tests.support.factories import rows
from tests.support.handlers.stepping import Desk, MakeKernel
from tests.support.sealing import with_keys

TOKEN = "tok-Ä\"'-very-secret"
OTHER_KEY = "YSBzZWNvbmQga2V5LCAzMiBieXRlcyBpbiBhbGwgISE="
DAY = 86_400.0


class Account(BaseModel):
    """What another system is asked for."""

    number: int


def text_of(kernel: Kernel) -> str:
    return repr([tuple(row) for row in rows(kernel, STEPS)])


def make_token(run: Run) -> Any:
    return run.step("token", lambda: {"token": TOKEN}, secret=True)


def test_result_is_sealed_given_back_and_gone_with_success(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> bool:
        token = make_token(run)
        run.step("other", lambda: "clear")
        if run.number == 1:
            raise Retry
        return bool(token == {"token": TOKEN})

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    assert desk.steps[0].secret_result.startswith("sealed:")
    assert "very-secret" not in text_of(desk.kernel)
    assert desk.run().result == '{"of":true}'
    assert [(one.result, one.secret_result) for one in desk.steps] == [
        (None, None),
        ('"clear"', None),
    ]


def test_result_is_gone_with_a_success_whose_run_took_no_step(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> bool:
        if run.number == 1:
            make_token(run)
            raise Retry
        return True

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    assert desk.steps[0].secret_result is not None
    assert desk.run().state == "success"
    assert [(one.done_at is None, one.secret_result) for one in desk.steps] == [(False, None)]


def test_result_of_an_order_that_failed_is_kept_for_some_days(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> None:
        make_token(run)
        raise Reject("no_room", "full")

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    desk.kernel.clock.shift(6 * DAY)
    forget_secrets(desk.kernel, BEGINNING)
    assert desk.steps[0].secret_result is not None
    desk.kernel.clock.shift(2 * DAY)
    ForgetSecrets().run(desk.kernel, Swept())
    assert (desk.steps[0].secret_result, desk.steps[0].done_at is None) == (None, False)


def test_error_of_a_secret_step_is_its_kind_alone(make_kernel: MakeKernel, sqlite_url: str) -> None:
    def failing() -> None:
        raise ConnectionError(f"refused {TOKEN}")

    def work(run: Run) -> None:
        run.step("token", failing, secret=True, retry=StepRetry())

    desk = Desk(make_kernel, sqlite_url, work)
    assert desk.run().state == "pending"
    assert desk.steps[0].error == "ConnectionError"


def wrapped(run: Run) -> None:
    """Quote in an error of one's own what a secret step has said."""
    try:
        run.step("token", refused, secret=True)
    except ConnectionError as error:
        raise RuntimeError(f"no token: {error!r}") from error


def quoted(run: Run) -> None:
    raise RuntimeError(f"GET /?token={make_token(run)['token']}: 500")


def quoted_in_another_step(run: Run) -> None:
    token = make_token(run)["token"]

    def failing() -> None:
        raise OSError(f"GET /?token={token}: 500")

    run.step("use", failing)


def misread(run: Run) -> None:
    """Of a long text pydantic quotes the beginning and the end."""
    Account.model_validate({"number": run.step("token", lambda: TOKEN * 20, secret=True)})


def given_back(run: Run) -> None:
    token = make_token(run)["token"]
    if run.number == 1:
        raise Retry
    raise RuntimeError(f"again with {token}")


def refused() -> None:
    try:
        raise OSError(f"401 for {TOKEN}")
    except OSError as error:
        raise ConnectionError(f"refused {TOKEN}\nas {TOKEN} is over") from error


ERRORS = {
    "its own": lambda run: run.step("token", refused, secret=True),
    "tried again": lambda run: run.step("token", refused, secret=True, retry=StepRetry()),
    "wrapped": wrapped,
    "quoted": quoted,
    "another step's": quoted_in_another_step,
    "a model's": misread,
    "given back": given_back,
}


@pytest.mark.parametrize("work", ERRORS.values(), ids=ERRORS)
def test_no_error_of_a_run_quotes_what_a_secret_step_has_told(
    make_kernel: MakeKernel,
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
    work: Callable[[Run], Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk(make_kernel, sqlite_url, work)
    desk.run()
    if work is given_back:
        desk.run()
    (row,) = [one for one in rows(desk.kernel, RUNS) if one.error_type]
    assert row.traceback
    told = f"{row.message}{row.traceback}{row.reason}{text_of(desk.kernel)}{caplog.text}"
    assert "very-secret" not in told


def test_step_is_not_begun_without_a_key(make_kernel: MakeKernel, sqlite_url: str) -> None:
    desk = Desk(make_kernel, sqlite_url, make_token)
    with with_keys(desk.kernel) as bare:
        desk.kernel = bare
        assert desk.run().error_code == "internal_error"
        assert desk.steps == []


def test_order_waits_for_a_process_that_has_the_key(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    def work(run: Run) -> bool:
        token = make_token(run)
        if run.number == 1:
            raise Retry
        return bool(token == {"token": TOKEN})

    desk = Desk(make_kernel, sqlite_url, work)
    desk.run()
    mine = desk.kernel
    with with_keys(mine, OTHER_KEY) as other:
        desk.kernel = other
        assert desk.run().state == "pending"
    desk.kernel = mine
    mine.clock.shift(10_000)
    assert desk.run().result == '{"of":true}'


def test_rotation_seals_results_with_the_new_key(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """Of several steps of an order, the key of whose rows has two columns."""

    def work(run: Run) -> bool:
        tokens = [run.step(f"token-{n}", lambda n=n: f"{TOKEN}-{n}", secret=True) for n in range(3)]
        run.step("clear", lambda: 1)
        if run.number == 1:
            raise Retry
        return tokens == [f"{TOKEN}-{n}" for n in range(3)]

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    mine = desk.kernel
    old = mine.settings.secrets_key.get_secret_value()
    with with_keys(mine, f"{OTHER_KEY},{old}") as turning:
        rotate(turning, lambda _: None)
        found = {one.key: one.rows for one in count_sealed(turning) if "steps" in one.column}
        assert found == {turning.keyring.ids[0]: 3}
    with with_keys(mine, OTHER_KEY) as turned:
        desk.kernel = turned
        turned.clock.shift(10_000)
        assert json.loads(desk.run().result or "") == {"of": True}


@pytest.mark.parametrize("pin", ["7319", "x\"y'z-secret"])
def test_secret_argument_is_masked_in_the_error_of_a_step(
    make_kernel: MakeKernel, sqlite_url: str, pin: str
) -> None:
    def work(run: Run) -> None:
        def failing() -> None:
            raise OSError(f"no account with {pin}")

        run.step("far", failing)

    desk = Desk(make_kernel, sqlite_url, work)
    desk.submit(pin=pin)
    desk.run()
    assert desk.steps[0].error == "OSError: no account with •••"
    with desk.kernel.read() as connection:
        assert pin not in repr(connection.execute(select(STEPS)).all())
