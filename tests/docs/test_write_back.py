"""examples/write_back.py: an outcome is written into a ticket by several calls, each once."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kernel.db.tables.orders import Order
from kernel.formats.order_request import order_request
from kernel.formats.shapes.render import facts, render
from kernel.formats.shapes.shape import parse_shape
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support import factories
from tests.support.howto import EACH
from tests.support.simulators import faults
from tests.support.simulators.open_trackers.glpi import GLPI, PROCESSING, SOLVED, partly_failed
from tests.support.simulators.server import Fault
from tests.support.simulators.service_desks.jira_cloud import JiraCloud
from tests.support.simulators.service_desks.jira_issues import transition_gone
from tests.support.simulators.tickets import Note, Ticket

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "write_back.py"
RETRIES = 5


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_back", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str, example: ModuleType) -> Kernel:
    return make_kernel(sqlite_url, example.handlers)


@pytest.fixture
def glpi(monkeypatch: pytest.MonkeyPatch) -> Iterator[GLPI]:
    with GLPI() as started:
        started.open("12")
        monkeypatch.setenv("GLPI_URL", started.url)
        monkeypatch.setenv("GLPI_APP_TOKEN", started.app_token)
        monkeypatch.setenv("GLPI_USER_TOKEN", started.user_token)
        yield started


@pytest.fixture
def jira(monkeypatch: pytest.MonkeyPatch) -> Iterator[JiraCloud]:
    with JiraCloud() as started:
        started.open("OPS-12")
        monkeypatch.setenv("JIRA_URL", started.url)
        monkeypatch.setenv("JIRA_USER", started.email)
        monkeypatch.setenv("JIRA_TOKEN", started.api_token)
        yield started


def write_back(
    kernel: Kernel, system: str, ticket: str, state: str = "success", text: str = "done <b>\n@all"
) -> Order:
    """Run an order to its end, retries included."""
    order_id = order(kernel, f"write_back_{system}", ticket=ticket, state=state, text=text)
    for _ in range(RETRIES):
        drain(kernel)
        kernel.clock.shift(1000)
    return factories.order(kernel, order_id)


def notes(ticket: Ticket, kind: str) -> int:
    """How many entries of this kind a ticket of GLPI has."""
    return [note.extra["kind"] for note in ticket.notes].count(kind)


@pytest.mark.parametrize(("state", "status"), [("success", SOLVED), ("failed", PROCESSING)])
def test_glpi_ticket_gets_a_private_followup_and_after_success_a_solution(
    kernel: Kernel, glpi: GLPI, state: str, status: int
) -> None:
    done, ticket = write_back(kernel, "glpi", "12", state), glpi.tickets["12"]
    assert (done.state, done.reference, ticket.state) == ("success", "12", status)
    assert ticket.notes[0].text == f"done <b><br>@all<br>ref {done.id}"
    assert not ticket.notes[0].is_public
    assert len(ticket.notes) == (2 if status == SOLVED else 1)
    assert glpi.sessions == set()


@pytest.mark.parametrize("on", ["initSession", "POST .*Followup", "POST .*Solution", "killSession"])
@pytest.mark.parametrize("fault", [faults.lost, faults.hung_up, faults.unavailable(), faults.html])
def test_glpi_ticket_has_each_entry_once_when_any_answer_fails(
    kernel: Kernel, glpi: GLPI, on: str, fault: Fault
) -> None:
    glpi.next(fault, on=on)
    done, ticket = write_back(kernel, "glpi", "12"), glpi.tickets["12"]
    assert (done.state, ticket.state) == ("success", SOLVED)
    assert (notes(ticket, "Followup"), notes(ticket, "Solution")) == (1, 1)


def test_glpi_followup_is_found_behind_many_when_its_answer_was_lost(
    kernel: Kernel, glpi: GLPI
) -> None:
    ticket = glpi.tickets["12"]
    older = {"kind": "Followup", "content": "older"}
    ticket.notes += [Note("older", extra=older) for _ in range(60)]
    glpi.next(faults.lost, on="POST .*Followup")
    done = write_back(kernel, "glpi", "12")
    assert (done.state, notes(ticket, "Followup")) == ("success", 61)


def test_glpi_session_is_opened_again_when_it_has_ended(kernel: Kernel, glpi: GLPI) -> None:
    glpi.next(faults.status(401, ["ERROR_SESSION_TOKEN_INVALID", ""]), on="POST .*Solution")
    done, ticket = write_back(kernel, "glpi", "12"), glpi.tickets["12"]
    assert (done.state, notes(ticket, "Followup"), ticket.state) == ("success", 1, SOLVED)


@pytest.mark.parametrize(
    ("ticket", "fault"), [("99", None), ("12", partly_failed), ("12", faults.status(400, []))]
)
def test_glpi_order_fails_for_good_when_glpi_refuses(
    kernel: Kernel, glpi: GLPI, ticket: str, fault: Fault | None
) -> None:
    if fault:
        glpi.next(fault, on="POST .*Followup")
    done = write_back(kernel, "glpi", ticket)
    assert (done.state, done.error_code) == ("failed", "ticket_refused")


@pytest.mark.parametrize(("state", "status"), [("success", "Done"), ("failed", "To Do")])
def test_jira_issue_gets_a_comment_and_after_success_is_closed(
    kernel: Kernel, jira: JiraCloud, state: str, status: str
) -> None:
    done, issue = write_back(kernel, "jira", "OPS-12", state), jira.tickets["OPS-12"]
    assert (done.state, issue.state) == ("success", status)
    assert issue.texts == [f"{{noformat}}done <b>\n@all{{noformat}}\nref {done.id}"]


@pytest.mark.parametrize("on", ["POST .*comment", "POST .*transitions", "GET .*transitions"])
@pytest.mark.parametrize("fault", [faults.lost, faults.hung_up, faults.throttled("1")])
def test_jira_issue_has_one_comment_and_is_closed_when_any_answer_fails(
    kernel: Kernel, jira: JiraCloud, on: str, fault: Fault
) -> None:
    jira.next(fault, on=on)
    done, issue = write_back(kernel, "jira", "OPS-12"), jira.tickets["OPS-12"]
    assert (done.state, issue.state, len(issue.notes)) == ("success", "Done", 1)


def test_jira_comment_is_found_behind_many_when_its_answer_was_lost(
    kernel: Kernel, jira: JiraCloud
) -> None:
    issue = jira.tickets["OPS-12"]
    issue.notes += [Note("older", extra={"body": "older"}) for _ in range(120)]
    jira.next(faults.lost, on="POST .*comment")
    done = write_back(kernel, "jira", "OPS-12")
    assert (done.state, len(issue.notes)) == ("success", 121)


@pytest.mark.parametrize("word", ["{noformat}", "{noformat:title=x}", "{NoFormat}"])
def test_jira_shows_a_text_as_it_is_when_it_would_end_the_macro(
    kernel: Kernel, jira: JiraCloud, word: str
) -> None:
    write_back(kernel, "jira", "OPS-12", text=f"a {word}[b|http://c]")
    (comment,) = jira.tickets["OPS-12"].texts
    assert comment.lower().count("{noformat") == 2
    assert comment.rpartition("{noformat}")[0].endswith("[b|http://c]")
    assert word in comment.replace("\u200b", "")


def test_jira_order_fails_for_good_when_the_transition_is_gone(
    kernel: Kernel, jira: JiraCloud
) -> None:
    jira.next(transition_gone, on="POST .*transitions")
    done = write_back(kernel, "jira", "OPS-12")
    assert (done.state, done.error_code) == ("failed", "ticket_refused")
    assert len(jira.tickets["OPS-12"].notes) == 1


@pytest.mark.parametrize("state", ["success", "failed"])
def test_shape_of_the_page_makes_an_order_that_the_handler_takes(
    example: ModuleType, state: str
) -> None:
    shape = parse_shape(json.loads(EACH["glpi-legacy"].blocks("json")[0]))
    data = {"order_id": "o-1", "reference": "12", "state": state}
    body = json.dumps({"status": 0, "msg": 'a "quote"', "data": data}).encode()
    made = render(shape, facts(body, "01a1", {}), {})
    request = order_request(json.loads(made.body), example.handlers)
    assert json.loads(request.args) == {"ticket": "12", "state": state, "text": 'a "quote"'}
    assert request.reference == "12"
    assert made.headers["Idempotency-Key"] == "01a1"
