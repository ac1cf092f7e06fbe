"""docs/howto: what each page says a ticketing system sends, sent."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from werkzeug.test import TestResponse

from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, new_key, serve

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RELAYED = {"zammad": "ticket", "itop": "ref"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in BLOCK.findall(page.read_text()) if name == language]


class Example:
    """The request that a page says kernel gets."""

    def __init__(self, page: Path) -> None:
        (text,) = blocks(page, "http")
        head, _, self.body = text.partition("\n\n")
        first, *lines = head.splitlines()
        self.method, self.path, _ = first.split()
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.members: dict[str, Any] = json.loads(self.body)

    def headers_with(self, key: str) -> dict[str, str]:
        """Its headers, with a real key where the page has a placeholder; the scheme stays."""
        scheme, _, given = self.headers["Authorization"].partition(" ")
        if scheme == "Basic":
            user, _, placeholder = base64.b64decode(given).decode().partition(":")
            given = base64.b64encode(f"{user}:{key}".encode()).decode()
        else:
            placeholder, given = given, key
        assert placeholder == "API_KEY"
        return self.headers | {"Authorization": f"{scheme} {given}"}

    def send(self, client: Client, key: str, body: str | None = None) -> TestResponse:
        """Send it as the ticketing system would."""
        sent = (body or self.body).encode()
        return client.open(self.method, self.path, data=sent, headers=self.headers_with(key))


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


def test_howto_pages_are_there_for_the_four_systems() -> None:
    assert [page.stem for page in PAGES] == ["itop", "jira", "servicenow", "zammad"]


@each_page
def test_order_of_the_page_is_accepted_once_when_sent_twice(kernel: Kernel, page: Path) -> None:
    example, key = Example(page), new_key(kernel, page.stem)
    client = Client(serve(kernel), None)
    first = example.send(client, key)
    assert first.status_code == 202, first.text
    again = example.send(client, key)
    assert again.status_code == 202
    assert again.headers["Idempotency-Replayed"] == "true"
    drain(kernel)
    last = example.send(client, key)
    assert (last.status_code, last.json["status"]) == (200, 0)
    ids = {answer.json["data"]["order_id"] for answer in (first, again, last)}
    assert len(ids) == 1


@each_page
def test_order_of_the_page_calls_back_where_it_says_when_done(kernel: Kernel, page: Path) -> None:
    example = Example(page)
    example.send(Client(serve(kernel), None), new_key(kernel, page.stem))
    drain(kernel)
    (sent,) = kernel.transport.sent
    assert sent.url == example.members["callback_url"]
    assert sent.json()["data"]["result"] == {"projname": example.members["projname"]}


@each_page
def test_changed_order_is_refused_as_told_when_the_key_is_old(kernel: Kernel, page: Path) -> None:
    example, key = Example(page), new_key(kernel, page.stem)
    client = Client(serve(kernel), None)
    example.send(client, key)
    answer = example.send(client, key, json.dumps(example.members | {"projname": "changed"}))
    assert answer.status_code == 422
    assert answer.json["data"]["code"] == "idempotency_key_reused"
    assert "idempotency_key_reused" in page.read_text() or page.stem == "itop"


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem != "servicenow"], ids=lambda p: p.stem)
def test_template_of_the_page_becomes_the_order_when_filled_in(page: Path) -> None:
    (template,) = [json.loads(code) for code in blocks(page, "json")]
    members = Example(page).members
    assert template.keys() == members.keys()
    for name, value in template.items():
        fixed, *_ = re.split(r"\{\{|#\{|\$this", value)
        assert members[name].startswith(fixed)


@pytest.mark.parametrize("name", RELAYED)
@responses.activate
def test_relay_of_the_page_writes_the_outcome_when_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("ZAMMAD_TOKEN", "ITOP_USER", "ITOP_PASSWORD"):
        monkeypatch.setenv(variable, "secret")
    zammad, itop = "https://zammad.example.net/api/v1/tickets", "https://itop.example.net"
    responses.get(f"{zammad}/search", json=[{"id": 7}])
    responses.put(f"{zammad}/7", json={})
    responses.post(f"{itop}/webservices/rest.php", json={"code": 0})
    names: dict[str, Any] = {}
    exec(blocks(ROOT / "docs" / "howto" / f"{name}.md", "python")[0], names)
    names["note"]("67001", {"status": 0, "msg": "success", "data": {}})
    body = requests.utils.unquote(str(responses.calls[-1].request.body)).replace("+", " ")
    assert "kernel: success" in body.replace("\\", "")


def test_relay_of_itop_raises_when_itop_refuses_in_the_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ITOP_USER", "kernel")
    monkeypatch.setenv("ITOP_PASSWORD", "secret")
    names: dict[str, Any] = {}
    exec(blocks(ROOT / "docs" / "howto" / "itop.md", "python")[0], names)
    with responses.RequestsMock() as itop:
        itop.post(names["API"], json={"code": 100, "message": "no such ticket"})
        with pytest.raises(RuntimeError, match="no such ticket"):
            names["note"]("R-1", {"status": 0, "msg": "success", "data": {}})
