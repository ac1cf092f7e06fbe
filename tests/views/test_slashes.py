"""Slashes too many or too few: always an envelope, never a page of HTML, for every route."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from kernel.runtime.kernel import Kernel
from tests.support.clients import FakeHints, serve

# Addresses that people open in a browser, whose answers are pages also when there is none.
PAGES = ("/dashboard", "/e", "/o", "/docs", "/static")
METHODS = ("GET", "POST", "DELETE")


@pytest.fixture
def app(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Flask:
    return serve(make_kernel(sqlite_url, auth="off"), FakeHints())


def raw(path: str) -> dict[str, str]:
    """A path as it came: the client takes what stands behind // for a host."""
    return {"PATH_INFO": path, "REQUEST_URI": path}


def spellings(app: Flask) -> Iterator[str]:
    """Each address of programs with other slashes than its own."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x1", rule.rule)
        if path.startswith("/") and path != "/" and not path.startswith(PAGES):
            tidy = path.rstrip("/")
            doubled = {tidy[:n] + "/" + tidy[n:] for n, one in enumerate(tidy) if one == "/"}
            yield from {tidy, f"{tidy}/", f"{tidy}//", *doubled} - {path, ""}


def test_every_route_with_other_slashes_answers_an_envelope(app: Flask) -> None:
    client, wrong, asked = app.test_client(), [], 0
    for path in sorted(set(spellings(app))):
        for method in METHODS:
            answer = client.open("/", method=method, environ_overrides=raw(path))
            asked += 1
            if answer.mimetype not in ("application/json", "text/plain", "text/csv"):
                wrong.append((method, path, answer.status_code, answer.mimetype))
    assert asked > 300
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1//orders", "/v1/orders"),
        ("/v1/orders/", "/v1/orders"),
        ("/v1/orders//batch", "/v1/orders/batch"),
        ("/test/add", "/test/add/"),
        ("/test//add//", "/test/add/"),
        ("/readyz/", "/readyz"),
    ],
)
def test_address_with_other_slashes_is_told_the_one_that_is_meant(
    app: Flask, path: str, meant: str
) -> None:
    method = "GET" if "readyz" in path else "POST"
    answer = app.test_client().open("/", method=method, json={}, environ_overrides=raw(path))
    # The original's address moves to its slash, as it always did.
    assert answer.status_code == (308 if path == "/test/add" else 404)
    told = json.loads(answer.data)
    assert (told["status"], told["data"]["code"]) == (-1, "not_found")
    assert told["data"]["detail"] == f"there is {meant}: mind the slashes"


def test_address_that_is_none_however_it_is_spelled_is_told_nothing(app: Flask) -> None:
    for path in ("/nowhere//", "/v1/orders/x/y/z/"):
        assert "detail" not in json.loads(app.test_client().get(path).data)["data"]
