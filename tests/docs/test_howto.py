"""docs/howto: the commands of each page, run, and what it says that a ticketing system sends, sent.

What becomes of it in the ticket is tested in tests/delivery/receivers, against simulators.
"""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from kernel.delivery.profiles import profile
from kernel.orders.due import HINTS, due_orders
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support import factories
from tests.support.clients import Client, serve
from tests.support.howto import EACH, Page
from tests.support.howto_setting import RECEIVERS
from tests.support.people.terminal import Terminal

Run = Callable[[Page], dict[str, str]]

each_page = pytest.mark.parametrize("page", EACH.values(), ids=list(EACH))
#: Pages whose system fills in a template; zendesk sends no idempotency key.
TEMPLATED = ("gitlab", "itop", "jira", "zammad", "zendesk")
keyed_page = pytest.mark.parametrize(
    "page", [page for page in EACH.values() if page.name != "zendesk"], ids=lambda page: page.name
)

#: Options of a login, by the kind that a profile's credentials name.
LOGINS = {
    **{"--basic": "basic", "--bearer": "bearer", "--oauth": "oauth2"},
    **{"--header": "header", "--sn-hmac": "header"},
}


@pytest.fixture
def run_page(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run all commands of a page as they stand there; return the key of each caller, by name."""
    monkeypatch.chdir(tmp_path)

    def run(page: Page) -> dict[str, str]:
        callers = page.commands("callers", "add")
        if page.name == "glpi-legacy":
            (tmp_path / "write-back.json").write_text(page.blocks("json")[0])
            callers = [*callers, ["callers", "add", "glpi"]]
        keys = {command[2]: terminal.json(*command)["api_key"] for command in callers}
        for command in page.commands("receivers"):
            secrets = RECEIVERS.get(f"{page.name}/{command[2]}", (page.name, ["secret"]))[1]
            place = dict(pairwise(command)).get("--url")
            secrets = secrets or [f"{place}/T0/B0/x"]  # the address is the secret
            asked = "".join(f"{secret}\n" for secret in secrets)
            terminal.run(*command, stdin=asked if command[1] == "add" else None)
        return keys

    return run


def test_howto_pages_are_there_for_every_system() -> None:
    assert list(EACH) == [
        *("chat", "cloudevents", "freshservice", "gitlab", "glpi-legacy", "glpi", "itop"),
        *("jira", "redmine", "servicenow", "zammad", "zendesk", "znuny"),
    ]


@each_page
def test_page_logs_in_by_a_kind_that_its_profile_names(page: Page) -> None:
    for command in page.receivers().values():
        if "--profile" in command:
            known = profile(command[command.index("--profile") + 1])
            used = {LOGINS[word] for word in command if word in LOGINS} or {"none"}
            assert used <= set(known.credentials), command


def caller_of_the_order(page: Page) -> str:
    """The caller whose receiver the page's order names."""
    named = page.example.members["callback_url"].removeprefix("receiver:")
    command = page.receivers()[named]
    return command[command.index("--caller") + 1]


@each_page
def test_order_of_the_page_is_accepted_for_its_receiver(
    terminal: Terminal, run_page: Run, page: Page
) -> None:
    keys = run_page(page)
    client = Client(serve(terminal.kernel), None)
    answer = page.example.send(client, keys[caller_of_the_order(page)])
    assert answer.status_code == 202, answer.text
    order = factories.order(terminal.kernel, answer.json["data"]["order_id"])
    assert (order.reference, order.callback_url) == (
        page.example.members["reference"],
        page.example.members["callback_url"],
    )


def run_orders(kernel: Kernel) -> None:
    """Run the due orders, and send nothing."""
    for order_id in due_orders(kernel, HINTS):
        execute(kernel, order_id)


@keyed_page
def test_order_of_the_page_is_made_once_when_sent_twice(
    terminal: Terminal, run_page: Run, page: Page
) -> None:
    key = run_page(page)[caller_of_the_order(page)]
    client = Client(serve(terminal.kernel), None)
    first, again = (page.example.send(client, key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotency-Replayed"] == "true"
    run_orders(terminal.kernel)
    last = page.example.send(client, key)
    assert (last.status_code, last.json["status"]) == (200, 0)
    assert len({answer.json["data"]["order_id"] for answer in (first, again, last)}) == 1


@keyed_page
def test_changed_order_is_refused_when_the_key_is_old(
    terminal: Terminal, run_page: Run, page: Page
) -> None:
    key = run_page(page)[caller_of_the_order(page)]
    client = Client(serve(terminal.kernel), None)
    page.example.send(client, key)
    answer = page.example.send(client, key, projname="changed")
    assert answer.status_code == 422
    assert answer.json["data"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("name", TEMPLATED)
def test_template_of_the_page_becomes_the_order_when_filled_in(name: str) -> None:
    page = EACH[name]
    (template,) = [json.loads(code) for code in page.blocks("json")]
    members = page.example.members
    assert template.keys() == members.keys()
    for member, value in template.items():
        fixed, *_ = re.split(r"\{\{|#\{|\$this", value)
        assert members[member].startswith(fixed)


@each_page
def test_page_names_the_refusal_of_a_receiver_that_is_not_there(
    terminal: Terminal, page: Page
) -> None:
    """Before the receiver is added, the order is refused as the page's last table says."""
    name = caller_of_the_order(page)
    key = terminal.json("callers", "add", name)["api_key"]
    answer = page.example.send(Client(serve(terminal.kernel), None), key)
    assert answer.status_code == 422
    assert answer.json["data"]["errors"][0]["code"] == "unknown_receiver"
    assert page.name == "glpi-legacy" or "unknown_receiver" in page.text
