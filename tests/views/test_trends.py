"""`/v1/trends`: what operators' programs are told of how it went."""

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, is_refusal, new_key, serve
from tests.support.factories import make_order
from tests.support.people.dashboard import operator_key


def test_trend_is_told_with_points_and_totals_when_an_operator_asks(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, state="failed", finished_at=now, started_at=now, runner="r")
    make_order(kernel, select_tag="slow")
    ops = Client(serve(kernel), operator_key(kernel))
    data = ops.get("/v1/trends?span=day").json["data"]
    assert (len(data["points"]), data["part"]) == (96, {"kind": "all", "name": ""})
    assert (data["total"]["accepted"], data["total"]["states"]) == (2, {"failed": 1})
    assert data["total"]["ran"]["p50"] is not None
    assert data["before"]["accepted"] == 0
    slow = ops.get("/v1/trends?tag=slow").json["data"]
    assert (slow["total"]["accepted"], slow["total"]["ran"]["p50"]) == (1, None)


def test_parts_are_compared_when_they_are_asked_for(kernel: Kernel) -> None:
    make_order(kernel, select_tag="slow")
    ops = Client(serve(kernel), operator_key(kernel))
    (one,) = ops.get("/v1/trends/tags").json["data"]["parts"]
    assert (one["kind"], one["name"], one["now"]["pending"]) == ("tag", "slow", 1)
    assert ops.get("/v1/trends/hosts?span=week").json["data"] == {"span": "week", "parts": []}
    assert is_refusal(ops.get("/v1/trends/states"), 404, "not_found")


@pytest.mark.parametrize(
    "query", ["span=year", "tag=a&host=b", "host=%2F%2F", "size=3", "tag=a&tag=b"]
)
def test_trend_is_refused_when_the_query_is_wrong(kernel: Kernel, query: str) -> None:
    ops = Client(serve(kernel), operator_key(kernel))
    assert is_refusal(ops.get(f"/v1/trends?{query}"), 422, "invalid_query")


def test_trend_is_for_operators_alone(kernel: Kernel) -> None:
    caller = Client(serve(kernel), new_key(kernel, "zammad"))
    for path in ("/v1/trends", "/v1/trends/tags"):
        assert is_refusal(caller.get(path), 403, "forbidden")
