"""Orders of tests are submitted, told events and read as the API does it."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel import Handlers, Kernel, Reject, Run, Wait
from kernel.errors import InvalidOrder
from kernel.orders.gates.events import MAX_DATA_BYTES
from kernel.runs.reruns import note_rerun
from kernel.testing import drain, order, poll, tell
from kernel.testing.pytest import Submit
from tests.support.clients import Client, serve

MakeKernel = Callable[..., Kernel]
handlers = Handlers()


class Odd(BaseModel):
    """Arguments that are called as those of the functions that submit them."""

    kernel: str = ""
    self: str = ""


@handlers.register("ask", Odd)
def ask(run: Run, args: Odd) -> dict[str, Any] | Wait:
    if told := run.events:
        return {"kernel": args.kernel, "self": args.self, "told": told[0].data}
    return Wait("approved")


@handlers.register("reject", Odd)
def reject(run: Run, args: Odd) -> dict[str, Any]:
    raise Reject("no_room", "there is no room")


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers, auth="off")


def test_members_and_data_may_be_called_as_arguments_are(kernel: Kernel) -> None:
    one = order(kernel, "ask", kernel="k")
    two = Submit(kernel)("ask", self="s", kernel="k")
    drain(kernel)
    for each in (one, two):
        tell(kernel, each, "approved", name="Ada", kernel="6.1", order_id="7")
    drain(kernel)
    told = {"name": "Ada", "kernel": "6.1", "order_id": "7"}
    assert poll(kernel, one)["data"]["result"] == {"kernel": "k", "self": "", "told": told}
    assert poll(kernel, two)["data"]["result"] == {"kernel": "k", "self": "s", "told": told}


@pytest.mark.parametrize(
    ("name", "text", "pointer"),
    [("Approved!", "", "/name"), ("", "", "/name"), ("approved", "x" * MAX_DATA_BYTES, "/data")],
)
def test_event_that_the_api_refuses_is_refused(
    kernel: Kernel, name: str, text: str, pointer: str
) -> None:
    one = order(kernel, "ask")
    with pytest.raises(InvalidOrder) as refused:
        tell(kernel, one, name, text=text)
    answer = Client(serve(kernel), None).post(
        f"/v1/orders/{one}/events", json={"name": name, "data": {"text": text}}
    )
    assert answer.status_code == 422
    said = [[(e["pointer"], e["code"]) for e in refused.value.data["errors"]]]
    said.append([(e["pointer"], e["code"]) for e in answer.json["data"]["errors"]])
    assert said[0] == said[1]
    assert said[0][0][0] == pointer


def test_order_is_read_as_its_caller_reads_it(kernel: Kernel) -> None:
    waits, failed = order(kernel, "ask"), order(kernel, "reject", reference="T-1")
    drain(kernel)
    again = order(kernel, "reject")
    with kernel.write() as connection:
        note_rerun(connection, failed, again, kernel.clock.sql())
    for one in (waits, failed, again):
        answer = Client(serve(kernel), None).get(f"/v1/orders/{one}").json
        answer["data"].pop("page")
        assert poll(kernel, one) == answer
    assert poll(kernel, failed)["data"]["deliveries"][0]["state"] == "delivered"
    assert poll(kernel, again)["data"]["rerun_of"] == failed
