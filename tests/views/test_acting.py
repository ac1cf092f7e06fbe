"""Every route that changes something writes an act; which routes there are, the app says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from kernel.callers import receiver_changes
from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from kernel.callers.identity import Scope
from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import open_session
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.db.tables.callers import ApiKey, Caller
from kernel.db.tables.operating.pauses import Pause
from kernel.db.tables.people import SESSIONS
from kernel.db.tables.receivers import RECEIVERS
from kernel.pauses.adoption import ground_of
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes as schedules
from kernel.schedules.definition import Definition
from tests.support.bulk import begun as begun_act
from tests.support.clients import Client, new_key, serve
from tests.support.factories import make_delivery, make_order, make_step
from tests.support.people.dashboard import SAME_ORIGIN, Visitor, operator_key
from tests.support.told import TOLD
from tests.support.working import ASKED

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
URL = "https://tickets.example/"
GIVE_UP = {"give_up": "4d"}
# Routes that write no act, and why.
NO_ACTS = {
    ("POST", "/v1/orders"): "a caller's own order, which is a row itself",
    ("POST", "/v1/orders/batch"): "a caller's own orders, as well",
    ("POST", "/test/add/"): "a caller's own order, by the original's address",
    ("POST", "/test/callback/"): "logs what it got, and stores nothing",
    ("POST", "/dashboard/preferences"): "a cookie in one browser",
    ("POST", "/docs/preferences"): "a cookie in one browser",
    ("POST", "/o/preferences"): "a cookie in one browser",
    ("POST", "/e/preferences"): "a cookie in one browser",
    ("POST", "/e/<token>"): "writes one with the event: see tests/views/test_event_links.py",
}


def caller(kernel: Kernel) -> int:
    with kernel.read_session() as session:
        return session.scalars(select(Caller.id).where(Caller.name == "zammad")).one()


def key(kernel: Kernel) -> int:
    with kernel.read_session() as session:
        found = select(ApiKey.id).where(ApiKey.caller_id == caller(kernel))
        return session.scalars(found).one()


def paused(kernel: Kernel) -> int:
    pause(kernel, Subject(host="in.example"))
    with kernel.read_session() as session:
        return session.scalars(select(Pause.id)).one()


def person(kernel: Kernel, *, disabled: bool = False) -> int:
    with kernel.write_session() as session:
        people.add_person(session, "Ada", Role.VIEWER, kernel.clock.now())
        ada = people.find_person(session, "Ada")
        if disabled:
            people.disable(session, ada, kernel.clock.now())
        return ada.id


def schedule(kernel: Kernel, *, paused: bool = False) -> dict[str, str]:
    made = Definition("zammad", "0 2 * * *", "UTC", "create_project", {"projname": "x"})
    schedules.add(kernel, "nightly", made)
    if paused:
        schedules.pause(kernel, "nightly")
    return {"name": "nightly"}


def begun(kernel: Kernel) -> int:
    """A session of another person."""
    person_id, now = person(kernel), kernel.clock.now()
    with kernel.write_session() as session:
        given = {"person_id": person_id, "key_id": None, "address": "", "agent": "", "now": now}
        open_session(session, **given)  # type: ignore[arg-type]
        found = select(SESSIONS.c.id).where(SESSIONS.c.person_id == person_id)
        return session.scalars(found).one()


def receiver(kernel: Kernel, *, draft: bool = False) -> dict[str, str]:
    with kernel.write_session() as session:
        patch = ReceiverPatch(url=URL)
        receiver_changes.add(session, "zammad", "desk", patch, ground_of(kernel))
        session.execute(update(RECEIVERS).values(is_draft=draft))
    return {"caller": "zammad", "name": "desk"}


def dead(kernel: Kernel) -> dict[str, str]:
    order_id = make_order(kernel, state="success")
    return {"order_id": order_id, "delivery_id": make_delivery(kernel, order_id, state="dead")}


def order(kernel: Kernel) -> dict[str, str]:
    return {"order_id": make_order(kernel)}


def stepped(kernel: Kernel) -> dict[str, str]:
    order_id = make_order(kernel)
    make_step(kernel, order_id, 1, "vm")
    return {"order_id": order_id}


# What each route needs: values of its address, a body. By method and rule, as the app has them.
ROUTES: dict[tuple[str, str], Callable[[Kernel], tuple[dict[str, Any], Any]]] = TOLD | {
    ("POST", "/v1/orders/<order_id>/cancel"): lambda k: (order(k), None),
    ("POST", "/v1/orders/<order_id>/events"): lambda k: (order(k), {"name": "approved"}),
    ("POST", "/v1/deliveries/<delivery_id>/redeliver"): lambda k: (dead(k), None),
    ("POST", "/v1/deliveries/replay"): lambda k: (dead(k), {}),
    ("POST", "/v1/bulk"): lambda k: (dead(k), {"kind": "redeliver"}),
    ("POST", "/v1/bulk/<bulk_id>/abort"): lambda k: ({"bulk_id": begun_act(k, "rerun")}, None),
    ("POST", "/v1/pauses"): lambda k: ({}, {"host": "in.example"}),
    ("DELETE", "/v1/pauses/<pause_id>"): lambda k: ({"pause_id": paused(k)}, None),
    ("POST", "/v1/receivers"): lambda k: (
        {},
        {"caller": "zammad", "name": "desk", "url": URL},
    ),
    ("PATCH", "/v1/receivers/<caller>/<name>"): lambda k: (receiver(k), {"url": URL + "v2"}),
    ("DELETE", "/v1/receivers/<caller>/<name>"): lambda k: (receiver(k), None),
    ("POST", "/dashboard/sign-in"): lambda k: ({}, {"key": operator_key(k, "second")}),
    ("POST", "/dashboard/sign-out"): lambda k: ({}, {}),
    ("POST", "/dashboard/orders/<order_id>/cancel"): lambda k: (order(k), {}),
    ("POST", "/dashboard/orders/<order_id>/again"): lambda k: (
        {
            "order_id": make_order(
                k, args=json.dumps({"projname": "桥"}), callback_url="https://tickets.example/"
            )
        },
        {},
    ),
    ("POST", "/dashboard/orders/<order_id>/steps/<int:number>/again"): lambda k: (
        stepped(k) | {"int:number": 1},
        {},
    ),
    ("POST", "/dashboard/orders/<order_id>/deliveries/<delivery_id>/redeliver"): lambda k: (
        dead(k),
        {},
    ),
    ("POST", "/dashboard/deliveries/<delivery_id>/redeliver"): lambda k: (dead(k), {}),
    ("POST", "/dashboard/bulk"): lambda k: ({"n": dead(k)["order_id"]}, {}),
    ("POST", "/dashboard/bulk/<bulk_id>/abort"): lambda k: ({"bulk_id": begun_act(k, "drop")}, {}),
    ("POST", "/dashboard/pauses"): lambda k: ({}, {"what": "host", "of": "in.example"}),
    ("POST", "/dashboard/pauses/resume"): lambda k: (
        {},
        {"what": "host", "of": "in.example"} | {"n": str(paused(k))},
    ),
    ("POST", "/dashboard/schedules/<name>/pause"): lambda k: (schedule(k), {}),
    ("POST", "/dashboard/schedules/<name>/resume"): lambda k: (schedule(k, paused=True), {}),
    ("POST", "/dashboard/schedules/<name>/run"): lambda k: (schedule(k), {}),
    ("POST", "/dashboard/callers"): lambda k: ({}, {"name": "new", "scope": Scope.READ}),
    ("POST", "/dashboard/callers/<caller_id>/keys"): lambda k: (
        {"caller_id": caller(k)},
        {"scope": Scope.READ},
    ),
    ("POST", "/dashboard/callers/<caller_id>/secret"): lambda k: (
        {"caller_id": caller(k)},
        {},
    ),
    ("POST", "/dashboard/keys/<key_id>/rotate"): lambda k: ({"key_id": key(k)}, {}),
    ("POST", "/dashboard/keys/<key_id>/revoke"): lambda k: ({"key_id": key(k)}, {}),
    ("POST", "/dashboard/people/<person_id>/disable"): lambda k: ({"person_id": person(k)}, {}),
    ("POST", "/dashboard/people/<person_id>/enable"): lambda k: (
        {"person_id": person(k, disabled=True)},
        {},
    ),
    ("POST", "/dashboard/sessions/<session_id>/end"): lambda k: ({"session_id": begun(k)}, {}),
    ("POST", "/dashboard/receivers/<caller>/<name>/adopt"): lambda k: (receiver(k, draft=True), {}),
    ("POST", "/dashboard/receivers/<caller>/<name>/give-up"): lambda k: (receiver(k), GIVE_UP),
    ("POST", "/dashboard/receivers/<caller>/<name>/remove"): lambda k: (receiver(k), {}),
}
for root in ("/v1", "/dashboard"):
    ROUTES |= {("POST", f"{root}/workers/{rest}"): ask for rest, ask in ASKED.items()}


def changing_routes(kernel: Kernel) -> set[tuple[str, str]]:
    """Every method and rule of the app that may change something.

    Those with `below` in them answer every method with a refusal.
    """
    return {
        (method, rule.rule)
        for rule in serve(kernel).url_map.iter_rules()
        for method in (rule.methods or set()) & CHANGING
        if "<path:" not in rule.rule and "other methods of" not in rule.endpoint
    }


def test_every_changing_route_is_known_here(kernel: Kernel) -> None:
    assert changing_routes(kernel) == ROUTES.keys() | NO_ACTS.keys()


def acts(kernel: Kernel) -> list[dict[str, Any]]:
    with kernel.read() as connection:
        return search.find(connection, ActFilter())


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_route_writes_an_act(kernel: Kernel, route: tuple[str, str]) -> None:
    method, rule = route
    new_key(kernel, "zammad")
    app, ops = serve(kernel), operator_key(kernel)
    visitor = Visitor(app)
    if rule.startswith("/dashboard"):
        visitor.sign_in(ops)
    values, body = ROUTES[route](kernel)
    path = rule
    for name, value in values.items():
        path = path.replace(f"<{name}>", str(value))
    before = len(acts(kernel))
    if rule.startswith("/dashboard"):
        form = body | {"token": visitor.token(), "reason": "CHG-4711", "days": "0"}
        answer = visitor.client.post(path, base_url=visitor.base, data=form, headers=SAME_ORIGIN)
    else:
        headers = {"X-Reason": "CHG-4711"}
        answer = Client(app, ops).open(method, path, json=body, headers=headers)
    assert answer.status_code < 400, answer.text
    found = acts(kernel)
    assert len(found) == before + 1
    act = found[0]
    via = "page" if rule.startswith("/dashboard") else "api"
    who = "second" if rule.endswith("/sign-in") else "ops"
    expected = (who, via, "127.0.0.1", "CHG-4711")
    assert (act["actor"], act["via"], act["address"], act["reason"]) == expected
    assert act["key_prefix"].startswith("kwo_")
    assert ops[13:] not in str(found)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "address"),
    [
        ("", "127.0.0.1", "192.0.2.7", "127.0.0.1"),
        ("127.0.0.1/32", "127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1/32", "127.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1/32,10.0.0.0/8", "127.0.0.1", "192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("127.0.0.1/32", "198.51.100.1", "192.0.2.7", "198.51.100.1"),
        ("127.0.0.1/32", "127.0.0.1", "<script>", "127.0.0.1"),
        ("127.0.0.1/32", "127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1/32", "::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1/32", "", "192.0.2.7", "192.0.2.7"),
        ("", "", "192.0.2.7", None),
    ],
)
def test_client_has_the_address_that_a_trusted_proxy_names(
    make_kernel: Callable[..., Kernel],
    database_url: str,
    trusted: str,
    peer: str,
    forwarded: str | None,
    address: str | None,
) -> None:
    kernel = make_kernel(database_url, trusted_proxies=trusted)
    visitor = Client(serve(kernel), operator_key(kernel))
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    environ = {"REMOTE_ADDR": peer}
    body = {"host": "in.example"}
    visitor.post("/v1/pauses", json=body, headers=headers, environ_overrides=environ)
    assert acts(kernel)[0]["address"] == address


def test_refused_keys_are_counted(kernel: Kernel) -> None:
    app = serve(kernel)
    wrong = "kwo_" + "x" * 43
    for given in (wrong, "hunter2"):
        assert Client(app, given).get("/v1/orders").status_code == 401
    assert Visitor(app).sign_in(wrong).status_code == 401
    assert Visitor(app).sign_in(new_key(kernel, "zammad")).status_code == 403
    kernel.refusals.write(kernel.write)
    with kernel.read() as connection:
        found = {one["prefix"]: one["count"] for one in search.refused(connection)}
    assert sorted(found.values()) == [1, 1, 2]
    assert (found[wrong[:12]], found[""]) == (2, 1)
    assert len(acts(kernel)) == 1  # the caller that was made


def test_plain_order_writes_no_act(kernel: Kernel) -> None:
    caller = Client(serve(kernel), new_key(kernel, "zammad"))
    before = len(acts(kernel))
    caller.submitted(callback_url=URL)
    caller.submitted(callback_url=URL, reference="INC1")
    assert len(acts(kernel)) == before
