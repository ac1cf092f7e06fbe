"""The states that the API tells and takes: those of docs/api.md, with `pending` for what waits."""

import csv
import io
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import insert

from kernel.bulk.kinds import LIVE
from kernel.db.states import OrderState, WireState
from kernel.db.tables.gates import GATES, Has
from kernel.runtime.kernel import Kernel
from tests.support.bulk import job, stepped
from tests.support.clients import Client, codes
from tests.support.factories import make_order, order
from tests.views.test_bulk import operator

TOLD = get_args(WireState)


@pytest.fixture
def family(kernel: Kernel) -> dict[str, str]:
    """A parent that waits, and a child in each state; return all of them by their states."""
    parent = make_order(kernel, state="waiting", gates=int(Has.CHILDREN), select_tag="parent")
    ids = {}
    for state in OrderState:
        ended = {"finished_at": kernel.clock.now()} if state.is_final else {}
        ids[state.value] = make_order(kernel, state=state, gates=int(Has.PARENT), **ended)
        row = {"order_id": ids[state.value], "caller_id": 1, "parent_id": parent}
        with kernel.write() as connection:
            connection.execute(insert(GATES).values(row))
    return ids | {"parent": parent}


def states_in(value: Any) -> Iterator[str]:
    """Every state that an answer says, as a value or as the name of a number."""
    if isinstance(value, list):
        for one in value:
            yield from states_in(one)
    elif isinstance(value, dict):
        yield from (one for name, one in value.items() if name == "state")
        yield from value.get("children", ())
        for one in value.values():
            yield from states_in(one)


def test_answers_say_no_other_states(kernel: Kernel, family: dict[str, str]) -> None:
    boss, parent = operator(kernel), family["parent"]
    shown = boss.get(f"/v1/orders/{parent}")
    assert shown.json["data"]["children"] == {
        **{"pending": 2, "running": 1, "success": 1},
        **{"warning": 1, "failed": 1, "cancelled": 1},
    }
    file = list(csv.DictReader(io.StringIO(boss.get("/v1/orders/export?format=csv").text)))
    assert {row["state"] for row in file} == set(TOLD)
    answers = [shown, boss.get("/v1/orders"), boss.get("/v1/orders/export")]
    answers += [boss.get(f"/v1/orders/{one}") for one in family.values()]
    assert set(states_in([one.json for one in answers])) == set(TOLD)


def total(boss: Client, kind: str, **fields: str) -> int:
    asked = {"kind": kind, "filter": fields, "dry_run": True}
    found: int = boss.post("/v1/bulk", json=asked).json["data"]["total"]
    return found


@pytest.mark.parametrize("state", TOLD)
def test_bulk_act_is_of_the_orders_that_the_list_has_in_this_state(
    kernel: Kernel, family: dict[str, str], state: OrderState
) -> None:
    boss = operator(kernel)
    listed = boss.get(f"/v1/orders/counts?state={state}").json["data"]["total"]
    assert total(boss, "cancel" if state in LIVE else "rerun", state=state) == listed > 0
    both = {"state": state, "select_tag": "create_project"}
    listed = boss.get("/v1/orders/counts", query_string=both).json["data"]["total"]
    assert (
        total(boss, "cancel" if state in LIVE else "rerun", **both)
        == listed
        == 1 + (state is OrderState.PENDING)
    )


def test_act_on_pending_orders_is_one_on_those_that_wait(kernel: Kernel) -> None:
    pending, waiting, running = (
        make_order(kernel, state=one) for one in ("pending", "waiting", "running")
    )
    begins = operator(kernel).post(
        "/v1/bulk", json={"kind": "cancel", "filter": {"state": "pending"}}
    )
    job_id = begins.json["data"]["bulk_id"]
    stepped(kernel, job_id)
    assert job(kernel, job_id).done == 2
    assert [order(kernel, one).state for one in (pending, waiting)] == ["cancelled"] * 2
    assert order(kernel, running).cancel_requested_at is None


def test_state_that_no_answer_says_is_none_of_a_filter(kernel: Kernel) -> None:
    asked = {"kind": "cancel", "filter": {"state": "waiting"}}
    boss = operator(kernel)
    assert codes(boss.post("/v1/bulk", json=asked)) == [("/filter/state", "invalid_field")]
    assert codes(boss.get("/v1/orders?state=waiting")) == [("/state", "literal_error")]
