"""A member of a JSON body may be of any type: it is read or refused, and never a fault of ours."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count
from typing import Any

import pytest

from kernel.callers import identity, keys
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, codes, handlers, serve
from tests.support.factories import CALLBACK, make_order

VALUES = (["a"], [], {"a": ["b"]}, {}, 7, -1, 10**60, 1.5, True, None, "", " ", "a/b;c")
TIME, LATER = "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
URL = "https://desk.example/api"
ORDER = {
    **{"select_tag": "anything", "callback_url": CALLBACK, "reference": "INC1", "priority": "low"},
    **{"ordering_key": "k", "not_before": TIME, "not_after": LATER},
}
BATCH = {
    "orders": [ORDER | {"idempotency_key": "i"}, ORDER],
    "batch": {"callback_url": CALLBACK, "reference": "r"},
}
NEW = {"caller": "desk", "name": "one", "url": URL}
TERMS = {
    **{"schedule": [5], "give_up": 60, "timeout": 3, "concurrency": 1, "rate": 5},
    **{"clear_text": False, "variables": {"a": "b"}},
}
OAUTH = {
    **{"token_url": URL, "grant": "password", "client_id": "i", "client_secret": "s"},
    **{"user": "u", "password": "p", "scope": "s", "in_body": True},
}
SECRETS = {"bearer": "hush", "sn_hmac": "hush", "headers": {"X-A": "a"}, "secrets": {"a": "hush"}}
SHAPE = {
    **{"method": "POST", "url": "a/{{ reference }}", "charset": "utf-8", "percent": False},
    **{"content_type": "application/json", "headers": {"X-A": "a"}, "body": {"a": "{{ text }}"}},
    "text": {"template": "a", "format": "plain", "limit": 5, "tail": "b"},
    "outcomes": {"success": {"state": "6"}},
    "lookup": {
        **{"url": "a", "rows": "rows", "match": "id", "equals": "{{ reference }}"},
        **{"value": "id", "allow": "any"},
    },
    "answer": [
        {"is": "done", "status": [200], "json": {"path": "a", "equals": 1}, "says": "a"},
        {"is": "done", "text": {"contains": "a"}, "tries": 1, "renews": False},
    ],
    **{"wait": {"Retry-After": "seconds"}, "variables": {"a": "b"}, "needs": ["reference"]},
    "digits": ["reference"],
}
PROFILE = {
    **{"profile": "servicenow-table", "terms": {"variables": {"table": "a"}}},
    "outcomes": {"success": {"state": "6"}},
}
FILTER = {"state": "pending", "tag": "anything", "caller": "desk", "since": TIME}
BULK = {**{"kind": "cancel", "filter": FILTER, "again": False}, "rate": 5, "dry_run": True}
REPLAY = {"until": TIME, "host": "a.example", "status": "dead", "dry_run": True}
RECEIVERS, KEPT = ("POST", "/v1/receivers"), ("PATCH", "/v1/receivers/desk/kept")
# By what a test is called: method, address, and a body that is accepted.
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "order": ("POST", "/v1/orders", ORDER),
    "original": ("POST", "/test/add/", ORDER | {"projname": "a", "prodesc": "b"}),
    "batch": ("POST", "/v1/orders/batch", BATCH),
    "event": ("POST", "/v1/orders/{order}/events", {"name": "a", "data": {}, "event_id": "e"}),
    "pause of a host": ("POST", "/v1/pauses", {"host": "a.example", "until": TIME}),
    "pause of a receiver": ("POST", "/v1/pauses", {"caller": "desk", "receiver": "kept"}),
    "pause of a tag": ("POST", "/v1/pauses", {"tag": "anything", "for": "2h"}),
    "pause of orders": ("POST", "/v1/pauses", {"orders_of": "desk"}),
    "receiver": (*RECEIVERS, NEW | {"terms": TERMS, "credentials": SECRETS}),
    "login": (*RECEIVERS, NEW | {"credentials": {"basic": {"user": "u", "password": "p"}}}),
    "token": (*RECEIVERS, NEW | {"credentials": {"oauth2": OAUTH}}),
    "shape": (*RECEIVERS, NEW | {"shape": SHAPE}),
    "profile": (*RECEIVERS, NEW | PROFILE),
    "changed receiver": (*KEPT, {"url": URL, "ca_pem": "", "shape": {}, "terms": TERMS}),
    "bulk": ("POST", "/v1/bulk", BULK),
    "replay": ("POST", "/v1/deliveries/replay", REPLAY),
    "notice": ("POST", "/v1/notifications", {"name": "a", "receiver": "kept", "conditions": []}),
    "drain": ("POST", "/v1/workers/drain", {"host": "a"}),
}
OPERATORS = (
    "/v1/receivers",
    "/v1/orders/{order}",
    "/v1/pauses",
    "/v1/bulk",
    "/v1/notifications",
    "/v1/workers",
)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the place of each member and item in a JSON value."""
    for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*place, part)
        if isinstance(inner, dict | list):
            yield from places(inner, (*place, part))


def changed(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a body in which ``value`` stands at ``place``."""
    told = deepcopy(body)
    at: Any = told
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    return told


def clients(kernel: Kernel) -> tuple[Client, Client]:
    """A caller `desk` with a receiver `kept`, and an operator."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        terms = keys.KeyTerms(frozenset({identity.Scope.OPERATOR}))
        made = [keys.add(session, "desk", now), keys.add(session, "ops", now, terms=terms)]
    app = serve(kernel)
    desk, ops = (Client(app, one.api_key.get_secret_value()) for one in made if one.api_key)
    assert ops.post("/v1/receivers", json=NEW | {"name": "kept"}).status_code == 201
    return desk, ops


@pytest.mark.parametrize("what", BODIES)
def test_body_is_read_or_refused_when_a_member_is_of_another_type(
    kernel: Kernel, what: str
) -> None:
    desk, ops = clients(kernel)
    method, path, body = BODIES[what]
    by = ops if path.startswith(OPERATORS) else desk
    path = path.format(order=make_order(kernel))
    names, found = count(), []
    for place, value in [((), None), *((place, one) for place in places(body) for one in VALUES)]:
        told = changed(body, place, value) if place else body
        if path == "/v1/receivers" and told["name"] == "one":
            told = told | {"name": f"n{next(names)}"}  # each has to be new
        sent = json.dumps(told)
        answer = by.open(method, path, data=sent, content_type="application/json")
        found.append((place, value, answer.status_code))
    assert found[0][2] < 300, "the body as it stands above is accepted"
    assert [one for one in found if one[2] >= 500] == []


def test_order_of_a_batch_is_refused_alone_when_its_callback_url_is_no_text(kernel: Kernel) -> None:
    """The other orders are accepted, and it is told what it is told when it is submitted alone."""
    desk, _ = clients(kernel)
    wrong = {"select_tag": "anything", "callback_url": ["a"]}
    answer = desk.post("/v1/orders/batch", json={"orders": [wrong, ORDER]})
    assert answer.status_code == 202, answer.text
    refused, accepted = answer.json["data"]["orders"]
    assert [(one["pointer"], one["code"]) for one in refused["errors"]] == [
        ("/orders/0/callback_url", "string_type")
    ]
    assert accepted["order_id"]
    assert codes(desk.post("/v1/orders", json=wrong)) == [("/callback_url", "string_type")]
