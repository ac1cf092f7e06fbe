"""`kernel receivers test`: one real callback, and what the sentences say of it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from kernel.callers.credentials import Basic, Credentials, OAuth2
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.profiles import made_shape
from tests.support.certificates import pem
from tests.support.people.terminal import Terminal
from tests.support.receiver import Answer, Receiver, authority, hang
from tests.support.ticketing import make_receiver

PASSWORD = "pass-4711-word"
LOGIN = Credentials(basic=Basic("svc", SecretStr(PASSWORD)))
ROW = {"sys_id": "9d385017c611228701d22104cc95c371", "number": "INC1"}


def told(value: object, status: int = 200) -> Answer:
    """Answer with JSON."""
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


@pytest.fixture
def desk(terminal: Terminal) -> Terminal:
    """The command line of an installation that may send to this host."""
    terminal.settings["callback_allow_nets"] = "127.0.0.1/32"
    terminal.run("callers", "add", "desk")
    return terminal


@pytest.fixture
def tickets(desk: Terminal, tmp_path: Path) -> Iterator[Receiver]:
    """A ticket system by TLS, whose authority the installation trusts."""
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    desk.settings["callback_ca_file"] = str(tmp_path / "ca.pem")
    with Receiver(tls=("127.0.0.1",)) as made:
        yield made


def add(desk: Terminal, url: str, credentials: Credentials = LOGIN, **more: Any) -> None:
    """Add the receiver `snow` of the caller `desk`."""
    make_receiver(desk.kernel, "snow", url, credentials, caller_id=2, **more)


def tried(desk: Terminal, *options: str, code: int = 1) -> dict[str, str]:
    """Run the test; return the text of each step, and see that nothing secret is in the output."""
    done = desk.run("receivers", "test", "snow", "--yes", *options, exit_code=code)
    assert PASSWORD not in done.output
    steps: dict[str, str] = {}
    for line in done.stdout.splitlines():
        step, text = line.split(maxsplit=1)
        steps[step] = f"{steps[step]}\n{text}" if step in steps else text
    return steps


def rows(desk: Terminal) -> list[int | None]:
    """How many rows there are of what a delivery leaves, and which breaker rates are set."""
    with desk.kernel.read_session() as session:
        counts = [
            session.scalar(select(func.count()).select_from(one))
            for one in (ORDERS, DELIVERIES, ATTEMPTS)
        ]
        return [*counts, session.scalar(select(func.count(RECEIVERS.c.rate_free_at)))]


def test_answer_that_is_packed_in_an_unknown_way_is_told_as_such(
    desk: Terminal, tickets: Receiver
) -> None:
    add(desk, tickets.url)
    tickets.script(Answer(200, {"Content-Encoding": "br"}, b"\x1b\x0f\x00\xf8"))
    assert ", packed as br, which kernel cannot read" in tried(desk, code=0)["answered"]


def test_callback_is_delivered_and_every_step_is_told(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url, shape=made_shape("servicenow-table"), rate=60)
    tickets.script(told({"result": [ROW]}), told({"result": ROW}))
    steps = tried(desk, "--reference", "INC1", code=0)
    look_up, sent = tickets.wait(2)
    assert look_up.method == "GET"
    assert "number=INC1" in look_up.path
    assert json.loads(sent.body)["work_notes"].startswith("test: success\nkernel receivers test")
    assert "snow at https://127.0.0.1" in steps["receiver"]
    assert "basic" in steps["receiver"]
    assert "after a lookup, PATCH of application/json" in steps["shape"]
    assert f"GET {tickets.url}api/now/table/incident?" in steps["lookup"]
    assert steps["found"] == f"{ROW['sys_id']} for INC1"
    assert steps["callback"].startswith(f"PATCH {tickets.url}api/now/table/incident/9d385")
    assert f"to 127.0.0.1 port {tickets.port} in" in steps["connected"]
    assert "open already" in steps["connected"]
    assert steps["tls"].startswith("TLSv1.3, verified; certificate for 127.0.0.1, by ")
    assert "valid until Jan  1 00:00:00 3000 GMT" in steps["tls"]
    assert f"{len(sent.body)} bytes, with Authorization: ***" in steps["sent"]
    assert "webhook-signature: ***" in steps["sent"]
    assert "200, application/json: " in steps["answered"]
    assert "by the rules of its shape: status 200; result.sys_id" in steps["judged"]
    assert steps["verdict"] == "a callback like this would be delivered"
    assert rows(desk) == [0, 0, 0, 0]


def test_callback_says_that_it_is_a_test_and_has_the_state_that_was_asked_for(
    desk: Terminal, tickets: Receiver
) -> None:
    add(desk, tickets.url)
    found = desk.json("receivers", "test", "snow", "--yes", "--state", "failed")
    [sent] = tickets.wait(1)
    envelope = json.loads(sent.body)
    data = envelope["data"]
    assert (envelope["msg"], data["select_tag"]) == ("kernel receivers test", "test")
    assert (data["state"], data["error"]["code"]) == ("failed", "test")
    assert (found["delivered"], found["delivery_id"]) == (True, sent.headers["webhook-id"])
    assert {"step": "verdict", "is_good": True} in [
        {name: one[name] for name in ("step", "is_good")} for one in found["steps"]
    ]


def test_refused_address_is_told_with_the_setting_that_opens_it(
    desk: Terminal, tickets: Receiver
) -> None:
    del desk.settings["callback_allow_nets"]
    add(desk, tickets.url)
    steps = tried(desk)
    assert "not public (loopback)" in steps["refused"]
    assert "KERNEL_CALLBACK_ALLOW_NETS or --callback-net: 127.0.0.1/32" in steps["refused"]
    assert "would be tried again in 5s (refused)" in steps["verdict"]
    assert not tickets.requests
    assert "sent" not in steps


def test_addresses_of_a_name_are_told(desk: Terminal) -> None:
    desk.settings["callback_allow_nets"] = "127.0.0.1/32, ::1/128"
    desk.settings["callback_allow_hosts"] = "localhost"
    with Receiver() as plain:
        add(desk, f"http://localhost:{plain.port}/", Credentials())
        steps = tried(desk, code=0)
    assert "127.0.0.1" in steps["resolved"]
    assert steps["resolved"].startswith("localhost has ")


def test_host_that_is_dead_is_told(desk: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    add(desk, f"http://127.0.0.1:{port}/")
    steps = tried(desk)
    assert "Connection refused" in steps["connect"]
    assert "firewall" in steps["next"]
    assert "sent" not in steps


def test_certificate_of_an_unknown_authority_is_told(desk: Terminal, tickets: Receiver) -> None:
    del desk.settings["callback_ca_file"]
    add(desk, tickets.url)
    steps = tried(desk)
    assert "certificate verify failed" in steps["tls"]
    assert "_ssl.c" not in steps["tls"]
    assert "kernel receivers set NAME --ca FILE" in steps["next"]
    assert not tickets.requests


def test_authority_of_the_receiver_is_used(desk: Terminal, tickets: Receiver) -> None:
    del desk.settings["callback_ca_file"]
    add(desk, tickets.url, ca_pem=pem(authority()))
    assert "verified" in tried(desk, code=0)["tls"]


def test_login_that_is_refused_is_told_and_not_shown(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url)
    tickets.script(Answer(401, {"Content-Type": "text/plain"}, f"no {PASSWORD}\x1b[2J".encode()))
    steps = tried(desk)
    assert steps["answered"] == "401, text/plain: no ***\\u001b[2J"
    assert "401 counts as not delivered" in steps["judged"]
    assert "credentials" in steps["next"]


def test_ticket_that_is_not_there_is_told(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url, shape=made_shape("servicenow-table"))
    tickets.script(told({"result": []}))
    steps = tried(desk, "--reference", "INC1")
    assert steps["found"] == "not one record for INC1: 0 of 0 rows match 'INC1'"
    assert steps["verdict"] == "a callback like this would be tried again in 5s (lookup)"
    assert "--reference" in steps["next"]
    assert len(tickets.requests) == 1


def test_reference_is_asked_for_when_the_shape_needs_one(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url, shape=made_shape("servicenow-table"))
    steps = tried(desk)
    assert "needs reference" in steps["judged"]
    assert "--reference" in steps["next"]
    assert not tickets.requests


def test_page_in_place_of_json_is_told(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url, shape=made_shape("servicenow-table"))
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>")
    tickets.script(told({"result": [ROW]}), page)
    steps = tried(desk, "--reference", "INC1")
    assert "200, text/html: <html>Sign in</html>" in steps["answered"]
    assert "no rule takes the answer" in steps["judged"]
    assert "login page" in steps["next"]


def test_token_endpoint_is_told_and_the_token_is_not(desk: Terminal, tickets: Receiver) -> None:
    oauth2 = OAuth2(
        **{"token_url": tickets.url + "token", "grant": "client_credentials", "client_id": "c"},
        **{"client_secret": SecretStr(PASSWORD), "user": None, "password": None},
        **{"scope": None, "in_body": False},
    )  # fmt: skip
    add(desk, tickets.url, Credentials(oauth2=oauth2))
    tickets.script(told({"access_token": "token-0815", "expires_in": 60}), path="/token")
    done = desk.run("receivers", "test", "snow", "--yes")
    assert f"POST {tickets.url}token" in done.stdout
    assert "Authorization: ***" in done.stdout
    assert "token-0815" not in done.output
    assert tickets.wait(2)[1].headers["authorization"] == "Bearer token-0815"
    tickets.script(told({"error": "invalid_client"}, 401), path="/token")
    assert "401 (invalid_client)" in tried(desk)["judged"]


def test_url_that_is_a_secret_is_hidden(desk: Terminal, tickets: Receiver) -> None:
    url = tickets.url + PASSWORD
    add(desk, tickets.url, Credentials(secrets={"url": SecretStr(url)}), shape=made_shape("slack"))
    steps = tried(desk)
    assert steps["callback"] == "POST ***"
    assert tickets.wait(1)[0].path == f"/{PASSWORD}"


def test_answer_that_does_not_come_is_told_after_the_receivers_own_time(
    desk: Terminal, tickets: Receiver
) -> None:
    add(desk, tickets.url, timeout=3.0)
    tickets.script(hang)
    steps = tried(desk)
    assert "may take 3s" in steps["shape"]
    assert "no answer in time" in steps["timeout"]
    assert "sent" in steps


def test_nothing_is_sent_before_the_question_is_answered(desk: Terminal, tickets: Receiver) -> None:
    add(desk, tickets.url, is_draft=True)
    test = ("receivers", "test", "snow", "--reference", "INC1")
    said = desk.run(*test, stdin="n\n", exit_code=1)
    assert "a note may be written into the ticket of INC1" in said.stderr
    assert f"not confirmed to be for {tickets.url[:-1]}" in said.stderr
    assert not tickets.requests
    desk.run(*test, stdin="y\n")
    assert "authorization" in tickets.wait(1)[0].headers


def test_test_is_refused_in_words_when_it_cannot_be_made(desk: Terminal) -> None:
    assert "no receiver named" in desk.run("receivers", "test", "snow", exit_code=1).stderr
    add(desk, "http://127.0.0.1:9/", is_draft=True)
    wrong = desk.run("receivers", "test", "snow", "--reference", " x", exit_code=2)
    assert "a reference has" in wrong.stderr
    with desk.kernel.write_session() as session:
        session.execute(update(RECEIVERS).values(url=""))
    assert "has no URL yet" in desk.run("receivers", "test", "snow", exit_code=2).stderr
