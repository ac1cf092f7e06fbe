"""Roles: what each may do, on every address that there is."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.factories import make_order
from tests.support.people.dashboard import SAME_ORIGIN, Visitor, operator, words

MakeKernel = Callable[..., Kernel]
V, O, A = Role.VIEWER, Role.OPERATOR, Role.ADMIN  # noqa: E741
# The least role of every address. An address that is not here fails the test below.
NEEDED: dict[str, Role | None] = {
    # Pages.
    "GET /dashboard/": V,
    "GET /dashboard/orders": V,
    "GET /dashboard/orders/export": V,
    "GET /dashboard/suggestions": V,
    "GET /dashboard/orders/<order_id>": V,
    "GET /dashboard/orders/<order_id>/<any(arguments, result):part>": V,
    "GET /dashboard/bulk": V,
    "GET /dashboard/bulk/new": V,
    "GET /dashboard/bulk/<bulk_id>": V,
    "POST /dashboard/bulk": O,
    "POST /dashboard/bulk/<bulk_id>/abort": O,
    "GET /dashboard/deliveries": V,
    "GET /dashboard/deliveries/export": V,
    "GET /dashboard/work": V,
    "GET /dashboard/tags/<tag>": V,
    "GET /dashboard/callers/<caller>": V,
    "GET /dashboard/errors": V,
    "GET /dashboard/errors/<fingerprint>": V,
    "GET /dashboard/notifications": V,
    "GET /dashboard/trends": V,
    "GET /dashboard/receivers": V,
    "GET /dashboard/receivers/<caller>/<name>": V,
    "GET /dashboard/schedules": V,
    "GET /dashboard/callers": V,
    "GET /dashboard/people": A,
    "GET /dashboard/audit": A,
    "GET /dashboard/<path:below>": V,
    # Acts.
    "GET /dashboard/orders/<order_id>/json": V,
    "GET /dashboard/orders/<order_id>/deliveries/<delivery_id>/body": V,
    "POST /dashboard/orders/<order_id>/cancel": O,
    "POST /dashboard/orders/<order_id>/again": O,
    "POST /dashboard/orders/<order_id>/steps/<int:number>/again": O,
    "POST /dashboard/orders/<order_id>/deliveries/<delivery_id>/redeliver": O,
    "POST /dashboard/deliveries/<delivery_id>/redeliver": O,
    "GET /dashboard/pauses": V,
    "POST /dashboard/pauses": O,
    "POST /dashboard/pauses/resume": O,
    "POST /dashboard/workers/drain": O,
    "POST /dashboard/workers/resume": O,
    "POST /dashboard/workers/<process_id>/terminate": O,
    "POST /dashboard/errors/<fingerprint>/resolve": O,
    "POST /dashboard/errors/<fingerprint>/reopen": O,
    "POST /dashboard/notifications": O,
    "POST /dashboard/notifications/<name>/remove": O,
    "POST /dashboard/notifications/<name>/test": O,
    "POST /dashboard/receivers/<caller>/<name>/adopt": A,
    "POST /dashboard/receivers/<caller>/<name>/give-up": A,
    "POST /dashboard/receivers/<caller>/<name>/remove": A,
    "POST /dashboard/schedules/<name>/pause": O,
    "POST /dashboard/schedules/<name>/resume": O,
    "POST /dashboard/schedules/<name>/run": O,
    "POST /dashboard/callers": A,
    "POST /dashboard/callers/<caller_id>/keys": A,
    "POST /dashboard/callers/<caller_id>/secret": A,
    "POST /dashboard/keys/<key_id>/rotate": A,
    "POST /dashboard/keys/<key_id>/revoke": A,
    "POST /dashboard/sessions/<session_id>/end": A,
    "POST /dashboard/people/<person_id>/disable": A,
    "POST /dashboard/people/<person_id>/enable": A,
    # The API. None: not for a person at all.
    "POST /v1/orders": None,
    "POST /v1/orders/batch": None,
    "POST /test/add/": None,
    "GET /v1/orders": V,
    "GET /v1/orders/<order_id>": V,
    "GET /v1/orders/<order_id>/deliveries": V,
    "POST /v1/orders/<order_id>/cancel": O,
    "GET /v1/orders/<order_id>/events": V,
    "POST /v1/orders/<order_id>/events": O,
    "POST /v1/deliveries/<delivery_id>/redeliver": O,
    "GET /v1/orders/counts": V,
    "GET /v1/orders/export": V,
    "GET /v1/deliveries": V,
    "GET /v1/deliveries/counts": V,
    "GET /v1/deliveries/export": V,
    "POST /v1/deliveries/replay": O,
    "GET /v1/bulk": V,
    "POST /v1/bulk": O,
    "GET /v1/bulk/<bulk_id>": V,
    "POST /v1/bulk/<bulk_id>/abort": O,
    "GET /v1/pauses": V,
    "POST /v1/pauses": O,
    "DELETE /v1/pauses/<pause_id>": O,
    "GET /v1/workers": V,
    "POST /v1/workers/drain": O,
    "POST /v1/workers/resume": O,
    "POST /v1/workers/<process_id>/terminate": O,
    "GET /v1/errors": V,
    "GET /v1/errors/<fingerprint>": V,
    "POST /v1/errors/<fingerprint>/resolve": O,
    "POST /v1/errors/<fingerprint>/reopen": O,
    "GET /v1/notifications": V,
    "POST /v1/notifications": O,
    "DELETE /v1/notifications/<name>": O,
    "POST /v1/notifications/<name>/test": O,
    "GET /v1/trends": V,
    "GET /v1/trends/<kinds>": V,
    "GET /v1/receivers": V,
    "POST /v1/receivers": A,
    "GET /v1/receivers/<caller>/<name>": V,
    "PATCH /v1/receivers/<caller>/<name>": A,
    "DELETE /v1/receivers/<caller>/<name>": A,
    "GET /test/callback/": O,
    "POST /test/callback/": O,
    "GET /openapi.json": V,
}
# For everybody, or with a session of any role.
OPEN = {
    "GET /dashboard/sign-in",
    "POST /dashboard/sign-in",
    "POST /dashboard/sign-out",
    "POST /dashboard/preferences",
}
SAMPLE = {"any(arguments, result):part": "result", "path:below": "nowhere/at/all"}


@pytest.fixture
def kernel(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


def key_of(kernel: Kernel, role: Role) -> str:
    with kernel.write_session() as session:
        made = people.add_person(session, f"the {role}", role, kernel.clock.now())
    return made.get_secret_value()


def addresses(app: Flask) -> dict[str, tuple[str, str]]:
    """Every address of ours with each method, by how `NEEDED` writes it."""
    found = {}
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[f"{method} {rule.rule}"] = (method, sample(rule))
    return found


def sample(rule: Rule) -> str:
    path = rule.rule
    for name in ("any(arguments, result):part", "path:below"):
        path = path.replace(f"<{name}>", SAMPLE[name])
    return "".join(
        part.split(">")[-1] if n == 0 else "999" + part.split(">", 1)[-1]
        for n, part in enumerate(path.split("<"))
    )


def test_every_address_of_the_dashboard_has_a_role(kernel: Kernel) -> None:
    known = {
        name for name in addresses(serve(kernel)) if "/dashboard" in name and "static" not in name
    }
    assert known - set(NEEDED) - OPEN == set()
    stale = {name for name in NEEDED if "/dashboard" in name} - known
    assert stale == set()


def test_every_act_of_the_api_has_a_role(kernel: Kernel) -> None:
    app = serve(kernel)
    ours = {
        name: address
        for name, address in addresses(app).items()
        if " /v1/" in name and "<path:" not in name and "other methods" not in name
    }
    working = {name for name, address in ours.items() if not refuses_method(app, *address)}
    assert working - set(NEEDED) == set()


def refuses_method(app: Flask, method: str, path: str) -> bool:
    return app.test_client().open(path, method=method).status_code == 405


@pytest.mark.parametrize("role", list(Role))
def test_role_is_asked_for_on_every_address(kernel: Kernel, role: Role) -> None:
    app, key = serve(kernel), key_of(kernel, role)
    visitor = Visitor(app)
    assert visitor.sign_in(key).status_code == 303
    token = visitor.token()
    wrong = {}
    for name, (method, path) in addresses(app).items():
        if name not in NEEDED:
            continue
        needed = NEEDED[name]
        allowed = needed is not None and role.includes(needed)
        got = ask(visitor, method, path, token, key)
        if (got == 403) is allowed:
            wrong[name] = got
        assert got not in (401, 500), (name, got)
    assert wrong == {}


def ask(visitor: Visitor, method: str, path: str, token: str, key: str) -> int:
    options: dict[str, Any] = {"base_url": visitor.base, "method": method}
    if path.startswith("/dashboard"):
        if method == "POST":
            options |= {"data": {"token": token}, "headers": SAME_ORIGIN}
    else:
        options["headers"] = {"Authorization": f"Bearer {key}"}
    return visitor.client.open(path, **options).status_code


def test_viewer_is_told_in_words_when_an_act_is_refused(kernel: Kernel) -> None:
    visitor = Visitor(serve(kernel))
    visitor.sign_in(key_of(kernel, Role.VIEWER))
    order_id = make_order(kernel)
    answer = visitor.post(f"/dashboard/orders/{order_id}/cancel")
    assert answer.status_code == 403
    assert "Your role may look and not act" in words(answer)


@pytest.mark.parametrize(
    ("role", "cancels", "revokes", "sees_people"),
    [(V, False, False, False), (O, True, False, False), (A, True, True, True)],
)
def test_buttons_are_those_of_the_role(
    kernel: Kernel, role: Role, cancels: bool, revokes: bool, sees_people: bool
) -> None:
    operator(kernel)  # a caller with a key
    visitor = Visitor(serve(kernel))
    visitor.sign_in(key_of(kernel, role))
    order_id = make_order(kernel)
    page, callers = (
        visitor.get(f"/dashboard/orders/{order_id}").text,
        visitor.get("/dashboard/callers"),
    )
    assert (f"/orders/{order_id}/cancel" in page) is cancels
    assert ("/revoke" in callers.text, "/dashboard/people" in page) == (revokes, sees_people)
    assert ("/dashboard/pauses?what=caller" in callers.text) is cancels
    assert f"the {role}" in words(callers), "the page does not say who acts"


def test_role_changes_with_the_next_request(kernel: Kernel) -> None:
    visitor = Visitor(serve(kernel))
    visitor.sign_in(key_of(kernel, Role.ADMIN))
    assert visitor.get("/dashboard/people").status_code == 200
    with kernel.write_session() as session:
        people.set_role(session, people.find_person(session, "the admin"), Role.VIEWER)
    assert visitor.get("/dashboard/people").status_code == 403


def test_operators_key_of_no_person_is_an_admins(kernel: Kernel) -> None:
    visitor = operator(kernel)
    assert visitor.get("/dashboard/people").status_code == 200
