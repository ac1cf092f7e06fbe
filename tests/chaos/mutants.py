"""Switches that leave every order done and every callback sent, and break another promise.

A callback tells another order's result, attempts are not written, cancels and pauses do nothing:
the ledger must notice each.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import OrderSnapshot
from kernel.delivery.pauses import Pauses
from kernel.orders import transitions
from kernel.orders.ends import together
from kernel.views import api
from kernel.worker.services import recorder
from tests.chaos.switch import Break


def other_result() -> None:
    body, last = transitions.callback_body, dict[str, str | None]()

    def swapped(order: OrderSnapshot, outcome: Outcome, *rest: Any) -> bytes:
        before = last.get(outcome.state, outcome.result)
        last[outcome.state] = outcome.result
        return body(order, replace(outcome, result=before), *rest)

    transitions.callback_body = together.callback_body = swapped


def no_attempts() -> None:
    record = recorder.record
    recorder.record = lambda kernel, finished, **_: record(kernel, finished, verdicts_only=True)


def cancel_nothing() -> None:
    def nothing(*_: Any) -> OrderState:
        return OrderState.RUNNING

    api.cancel = nothing


def pauses_ignored() -> None:
    Pauses.hold = lambda *_: False


# A fault that delays little: what is found is the switch's own.
MILD = ("redis-flushall",)
MUTANTS: Mapping[str, Break] = {
    "other-result": Break("a callback carries the result of the order before it", MILD,
        "wrong", "a callback says", other_result),
    "no-attempts": Break("attempts are not written, their verdicts are", MILD,
        "wrong", "and 0 attempts' rows", no_attempts),
    "cancel-nothing": Break("a cancel is answered, and nothing else", MILD,
        "wrong", "its cancel was", cancel_nothing),
    "pauses-ignored": Break("pauses are stored, and callbacks sent all the same", MILD,
        "wrong", "to a paused", pauses_ignored),
}  # fmt: skip
