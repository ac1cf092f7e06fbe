"""Bulk acts by API: an operator's, counted first; and what bounds a caller's own replays."""

from collections.abc import Callable

import pytest

from kernel.bulk.progress import TOLD
from kernel.callers import identity, keys
from kernel.db.tables.operating.bulk import JOBS, RERUNS
from kernel.runtime.kernel import Kernel
from tests.support.bulk import begun, leave, stepped
from tests.support.clients import Client, client, codes, new_key, serve
from tests.support.factories import CALLBACK, delivery, make_delivery, make_order, rows

MakeKernel = Callable[..., Kernel]


def operator(kernel: Kernel) -> Client:
    """A client with an operator's key."""
    new_key(kernel, "boss")
    with kernel.write_session() as session:
        terms = keys.KeyTerms(frozenset({identity.Scope.OPERATOR}))
        key = keys.add_key(session, "boss", kernel.clock.now(), terms).api_key
    return Client(serve(kernel), key.get_secret_value())


def dead(kernel: Kernel, caller_id: int = 1, state: str = "dead") -> str:
    """Make a callback that is over."""
    now = kernel.clock.now()
    order_id = make_order(kernel, caller_id=caller_id, state="success", finished_at=now)
    return make_delivery(kernel, order_id, caller_id=caller_id, state=state, finished_at=now)


def test_bulk_act_is_counted_begun_shown_and_aborted(kernel: Kernel) -> None:
    now = kernel.clock.now()
    failed = {"state": "failed", "error_code": "timed_out", "finished_at": now}
    order_id = make_order(kernel, callback_url=CALLBACK, **failed)
    boss, asked = operator(kernel), {"kind": "rerun", "filter": {"error": "timed_out"}}
    counted = boss.post("/v1/bulk", json={**asked, "dry_run": True})
    assert counted.status_code == 200
    assert counted.json["data"]["by_error"] == [{"value": "timed_out", "count": 1}]
    begins = boss.post("/v1/bulk", json=asked)
    place = begins.headers["Location"]
    assert (begins.status_code, begins.json["data"]["state"]) == (202, "running")
    stepped(kernel, begins.json["data"]["bulk_id"])
    shown = boss.get(place).json["data"]
    (made,) = rows(kernel, RERUNS)
    assert (shown["state"], shown["done"]) == ("done", 1)
    assert shown["made"] == [{"order_id": order_id, "rerun_as": made.new_id}]
    assert boss.get("/v1/bulk").json["data"]["bulk"][0]["by"] == "boss"
    other = begun(kernel, "cancel")
    assert boss.post(f"/v1/bulk/{other}/abort").json["data"]["state"] == "aborted"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "erase"}, "/kind"),
        ({"kind": "rerun", "filter": {"color": "red"}}, "/filter/color"),
        ({"kind": "rerun", "filter": {"since": "soon"}}, "/filter/since"),
        ({"kind": "rerun", "filter": {"state": "running"}}, "/filter/state"),
        ({"kind": "cancel", "rate": 0}, "/rate"),
        ({"kind": "cancel", "again": True}, "/again"),
        ({"kind": "drop", "with_current_shape": True}, "/with_current_shape"),
    ],
)
def test_bulk_act_that_makes_no_sense_is_refused(
    kernel: Kernel, body: dict[str, object], pointer: str
) -> None:
    answer = operator(kernel).post("/v1/bulk", json=body)
    assert answer.status_code == 422
    assert answer.json["data"]["errors"][0]["pointer"] == pointer


def test_bulk_acts_are_an_operators_alone(kernel: Kernel) -> None:
    job_id, caller = begun(kernel, "cancel"), client(kernel)
    assert caller.post("/v1/bulk", json={"kind": "cancel"}).status_code == 403
    assert caller.get("/v1/bulk").status_code == 403
    assert caller.get(f"/v1/bulk/{job_id}").status_code == 403
    assert caller.post(f"/v1/bulk/{job_id}/abort").status_code == 403


def test_replay_leaves_delivered_callbacks_alone_unless_they_are_meant(kernel: Kernel) -> None:
    delivered, boss = dead(kernel, state="delivered"), operator(kernel)
    assert boss.post("/v1/deliveries/replay", json={}).json["data"]["replayed"] == 0
    asked = {"status": "delivered"}
    assert boss.post("/v1/deliveries/replay", json=asked).json["data"]["replayed"] == 1
    assert delivery(kernel, delivered).state == "pending"


def test_replay_of_a_caller_is_bounded_and_one_at_a_time(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, max_replay=1)
    caller = client(kernel)
    own = kernel_caller(kernel)
    dead(kernel, own)
    assert caller.post("/v1/deliveries/replay", json={}).json["data"]["replayed"] == 1
    dead(kernel, own), dead(kernel, own)
    refused = caller.post("/v1/deliveries/replay", json={})
    assert refused.json["data"]["errors"][0]["code"] == "too_many"
    assert [row.state for row in rows(kernel, JOBS)] == ["done"]


@pytest.mark.parametrize(
    "at",
    [
        *("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "-62135596800", "1700000000", ""),
        *("1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59-01:00", "2026-11-20T08:00:00"),
    ],
)
def test_time_that_no_filter_keeps_is_refused_in_a_body(kernel: Kernel, at: str) -> None:
    dead(kernel)
    boss = operator(kernel)
    for body in ({"since": at}, {"until": at}):
        (name,) = body
        refused = boss.post("/v1/deliveries/replay", json=body)
        assert codes(refused) == [(f"/{name}", "invalid_time")]
    asked = {"host": "a.example", "until": at}
    assert codes(boss.post("/v1/pauses", json=asked)) == [("/until", "invalid_time")]
    assert rows(kernel, JOBS) == []


def kernel_caller(kernel: Kernel) -> int:
    """The id of the caller of `client`."""
    from kernel.db.tables.callers import Caller

    with kernel.read_session() as session:
        return max(one.id for one in session.query(Caller))


@pytest.mark.parametrize("name", ["reference", "tag", "select_tag", "since", "zone"])
@pytest.mark.parametrize("blank", ["", "  "])
def test_bulk_act_is_refused_when_a_field_of_its_filter_says_nothing(
    kernel: Kernel, name: str, blank: str
) -> None:
    make_order(kernel)
    body = {"kind": "cancel", "filter": {name: blank, "error": "cancelled"}}
    answer = operator(kernel).post("/v1/bulk", json=body | {"dry_run": True})
    assert answer.status_code == 422
    found = [(one["pointer"], one["code"]) for one in answer.json["data"]["errors"]]
    assert found == [(f"/filter/{name}", "blank_field")]


def test_bulk_act_takes_the_fields_as_the_list_of_orders_calls_them(kernel: Kernel) -> None:
    make_order(kernel, select_tag="import", reference="INC1")
    make_order(kernel, reference="INC2")
    boss = operator(kernel)

    def count(**fields: str) -> int:
        asked = {"kind": "cancel", "filter": fields, "dry_run": True}
        total: int = boss.post("/v1/bulk", json=asked).json["data"]["total"]
        return total

    assert count() == 2
    assert (count(select_tag="import"), count(text="INC2")) == (1, 1)
    assert (count(tag="import"), count(q="INC2")) == (1, 1)
    for fields in ({"select_tag": "two words"}, {"select_tag": "a", "tag": "b"}):
        asked = {"kind": "cancel", "filter": fields, "dry_run": True}
        (wrong,) = boss.post("/v1/bulk", json=asked).json["data"]["errors"]
        assert wrong["code"] == "invalid_field"


def test_act_tells_its_filter_by_the_fields_that_it_takes(kernel: Kernel) -> None:
    make_order(kernel, args='{"projname":"see INC7"}')
    asked = {"text": "INC7", "state": "pending"}
    boss = operator(kernel)
    begins = boss.post("/v1/bulk", json={"kind": "cancel", "filter": asked}).json["data"]
    shown = boss.get(f"/v1/bulk/{begins['bulk_id']}").json["data"]
    (listed,) = boss.get("/v1/bulk").json["data"]["bulk"]
    assert [one["filter"] for one in (begins, shown, listed)] == [asked] * 3


def test_each_item_that_is_kept_as_left_is_told(kernel: Kernel) -> None:
    job_id = begun(kernel, "cancel")
    leave(kernel, job_id, TOLD)
    told = operator(kernel).get(f"/v1/bulk/{job_id}").json["data"]
    assert len(told["left_items"]) == TOLD
