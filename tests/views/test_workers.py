"""`/v1/workers`: processes, and what is asked of them."""

from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, serve
from tests.support.people.dashboard import operator_key
from tests.support.working import HOST, at_work, running


def test_processes_are_listed_drained_resumed_and_terminated(kernel: Kernel) -> None:
    one = at_work(kernel, running(kernel, "01", 50))
    ops = Client(serve(kernel), operator_key(kernel))
    (listed,) = ops.get("/v1/workers").json["data"]["processes"]
    assert (listed["process_id"], listed["doing"]) == (one.id, "running")
    assert listed["runs"][0]["select_tag"] == "create_project"
    asked = ops.post("/v1/workers/drain", json={"host": HOST})
    assert asked.json["data"] == {"host": HOST, "processes": 1}
    assert [each["host"] for each in ops.get("/v1/workers").json["data"]["drained"]] == [HOST]
    ops.post("/v1/workers/resume", json={"host": HOST})
    assert ops.post("/v1/workers/resume", json={"host": HOST}).status_code == 404
    ended = ops.post(f"/v1/workers/{one.id}/terminate")
    assert ended.json["data"]["process"].startswith(f"{HOST}:")
    assert ops.post("/v1/workers/nobody/terminate").status_code == 404


def test_bodies_and_query_strings_are_read_strictly(kernel: Kernel) -> None:
    ops = Client(serve(kernel), operator_key(kernel))
    for body in ({}, {"host": ""}, {"host": "x" * 256}, {"host": HOST, "more": 1}):
        assert ops.post("/v1/workers/drain", json=body).status_code == 422
    assert ops.get("/v1/workers?span=day").status_code == 422
