"""Refusals say what a client can go by: where it is wrong, when to come back, what it may do."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kernel as package
from kernel import errors
from kernel.runtime.kernel import Kernel
from kernel.views.http.errors import refusal
from tests.support.batches import ONE, send, sent
from tests.support.clients import Client, client, codes, is_refusal
from tests.views.test_bulk import operator

INVALID = ("InvalidOrder", "InvalidQuery")
# No refusal of the API's: commands and pages alone make such.
NOT_API = ("cli", "schedules", "views/dashboard")


def kinds_of(kind: type[errors.KernelError]) -> Iterator[type[errors.KernelError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from kinds_of(one)


@pytest.mark.parametrize("kind", [*kinds_of(errors.Unavailable)])
def test_answer_says_when_to_come_back_when_it_is_a_503(kind: type[errors.KernelError]) -> None:
    for error in (kind("a vault did not answer"), kind(), kind(retry_after=7)):
        answer = refusal(error, "en")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == error.data.get("retry_after", 10)


def test_every_422_says_what_is_wrong_and_where() -> None:
    """Each that is raised has `errors`; their pointers are tested beside what makes them."""
    raised, folder = 0, Path(package.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        if file.relative_to(folder).as_posix().startswith(NOT_API):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in INVALID:
                raised += 1
                named = {one.arg for one in node.keywords}
                assert "errors" in named, f"{file}:{node.lineno}"
    assert raised > 25


def resolves(pointer: str, body: Any) -> bool:
    """Tell whether a pointer (RFC 6901) leads to something of a body."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(body, list) and name.isdigit() and int(name) < len(body):
            body = body[int(name)]
        elif isinstance(body, dict) and name in body:
            body = body[name]
        else:
            return False
    return True


PAST = {"host": "a.example", "until": "1980-01-01T00:00:00Z"}
STATE: dict[str, Any] = {"kind": "rerun", "filter": {"state": "running"}, "rate": 0}
CODE: dict[str, Any] = {"kind": "cancel", "filter": {"error": "gone"}, "rate": 0, "again": True}


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        ("bulk", STATE, ["/filter/state", "/rate"]),
        ("bulk", CODE, ["/filter", "/rate", "/again"]),
        (
            "bulk",
            STATE | {"kind": "drop", "filter": {"state": "delivered"}},
            ["/filter/state", "/rate"],
        ),
        (
            "bulk",
            {"kind": "cancel", "filter": {"a": "b", "state": "waiting", "since": " "}, "rate": 0},
            ["/filter/a", "/filter/since", "/filter/state", "/rate"],
        ),
        (
            "bulk",
            {"kind": "rerun", "filter": {"state": "waiting"}, "again": True, "rate": 0},
            ["/filter/state", "/rate"],
        ),
        ("pauses", PAST, ["/until"]),
        ("pauses", {"tag": "two words", "for": "soon"}, ["/tag", "/for"]),
        (
            "pauses",
            {"tag": "a", "host": "b.example", "for": "1h", "until": "2200-01-01T00:00:00Z"},
            ["", "/for"],
        ),
        ("pauses", {"tag": "two words"}, ["/tag"]),
        ("pauses", {"tag": "a", "host": "b"}, [""]),
        ("pauses", {"tag": "a", "for": "soon"}, ["/for"]),
        ("deliveries/replay", {"since": "1969-01-01T00:00:00Z"}, ["/since"]),
    ],
)
def test_422_points_to_what_is_wrong_in_the_body(
    kernel: Kernel, path: str, body: dict[str, Any], pointers: list[str]
) -> None:
    found = [pointer for pointer, _ in codes(operator(kernel).post(f"/v1/{path}", json=body))]
    assert found == pointers
    assert all(resolves(one, body) for one in found)


MANY = {f"m{number}": 1 for number in range(1000)}
BODIES: dict[str, dict[str, Any]] = {
    "POST orders": ONE | MANY,
    "POST orders/batch": {"orders": [ONE]} | MANY,
    "POST orders/batch of one": {"orders": [ONE], "batch": MANY},
    "POST orders/x/events": {"name": "approved"} | MANY,
    "POST receivers": {"caller": "a", "name": "b", "url": "https://a.example"} | MANY,
    "PATCH receivers/a/b": MANY,
    "POST pauses": MANY,
    "POST bulk": MANY,
}


@pytest.mark.parametrize("where", BODIES)
def test_mistakes_beyond_number_are_counted_and_not_listed(kernel: Kernel, where: str) -> None:
    """An answer would be ten times as long as a body that is nothing but mistakes."""
    method, path, *_ = where.split()
    answer = operator(kernel).open(method, f"/v1/{path}", json=BODIES[where])
    *shown, last = codes(answer)
    assert (len(shown), last) == (100, ("", "too_many_problems"))


def test_query_is_refused_with_all_that_is_wrong_beside_what_is_repeated(kernel: Kernel) -> None:
    query = "limit=0&limit=x&state=odd&nonsense=1&nonsense=2&batch=1"
    answer = client(kernel).get(f"/v1/orders?{query}")
    repeated = [("/limit", "repeated"), ("/nonsense", "repeated")]
    assert codes(answer)[:2] == repeated
    assert [pointer for pointer, _ in codes(answer)[2:]] == ["/batch", "/state"]


def test_order_of_a_batch_is_refused_alone_when_it_has_the_batchs_own_key(kernel: Kernel) -> None:
    zammad, keyed = client(kernel), ONE | {"idempotency_key": "change-1"}
    both = [keyed, ONE]
    first = sent(zammad, both, "change-1")
    assert (first["accepted"], first["refused"]) == (1, 1)
    (wrong,) = first["orders"][0]["errors"]
    place = "/orders/0/idempotency_key"
    assert (wrong["pointer"], wrong["code"]) == (place, "idempotency_key_reused")
    assert "the batch itself" in wrong["detail"]
    again = send(zammad, both, "change-1")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["data"]["orders"][0]["errors"] == [wrong]
    alone = send(zammad, [keyed | {"idempotency_key": "change-2"}], "change-2")
    assert codes(alone) == [(place, "idempotency_key_reused")]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def addresses(by: Client) -> set[str]:
    """An address of every rule of the API and the original's."""
    rules = {rule.rule for rule in by.app.url_map.iter_rules()}
    ours = (one for one in rules if one.startswith(("/v1/", "/test/")) and "<path:" not in one)
    return {re.sub(r"<[^>]+>", "0199aaaa-0000-7000-8000-000000000000", one) for one in ours}


def test_methods_that_are_allowed_are_those_that_are_not_refused(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    boss = operator(make_kernel(sqlite_url))
    found = addresses(boss)
    assert len(found) > 30
    for path in found:
        answer = boss.open("PROPFIND", path)
        assert is_refusal(answer, 405, "method_not_allowed"), path
        taken = {one for one in METHODS if boss.open(one, path).status_code != 405}
        assert set(answer.headers["Allow"].split(", ")) == taken, path


def test_invented_method_is_404_where_every_method_is(kernel: Kernel) -> None:
    boss = operator(kernel)
    for path in ("/v1/orders/x/y", "/v1/bulk/x/y", "/v1/none"):
        assert is_refusal(boss.open("PROPFIND", path), 404, "not_found")
