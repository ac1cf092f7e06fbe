"""Handlers that write an outcome into a ticket by several calls: an order of its own.

KERNEL_HANDLERS=write_back:handlers, and for GLPI GLPI_URL, GLPI_APP_TOKEN and GLPI_USER_TOKEN, for
Jira JIRA_URL, JIRA_USER and JIRA_TOKEN. To have these beside your own handlers, register yours on
the same `handlers`.

Each call is made after a commit, never inside a transaction. A run that dies goes on behind its
last checkpoint; a note is looked for by its last line, among the newest, before it is written.
"""

import html
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import requests
from pydantic import BaseModel

from kernel import Handlers, Reject, Retry, Run

handlers = Handlers()

TIMEOUT = 10  # s, for each call
SOLVED, CLOSED = 5, 6
# Both systems give one page, and unasked the oldest entries; ours is among the newest.
GLPI_NEWEST = {"order": "DESC", "range": "0-49"}
JIRA_NEWEST = {"orderBy": "-created", "maxResults": "100"}


class Outcome(BaseModel):
    """What the shape of the receiver puts into the order."""

    ticket: str
    state: str
    text: str


def call(session: requests.Session, method: str, url: str, **given: Any) -> requests.Response:
    """Make a call and return its answer, 4xx included; try the order again for what passes."""
    try:
        answer = session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **given)
    except requests.RequestException as error:
        raise Retry(max_tries=50, reason=f"no answer: {type(error).__name__}") from None
    if answer.status_code == 401 and "Session-Token" in session.headers:
        raise Retry(max_tries=3, reason="the session has ended")  # the next run opens another
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Retry(max_tries=50, reason=f"HTTP {answer.status_code}")
    return answer


def demand(answer: requests.Response, *statuses: int) -> Any:
    """Return the answer's JSON; reject the order for good unless its status is one of these."""
    if answer.status_code in statuses and not answer.content:
        return None
    try:
        told = answer.json()
    except ValueError:  # a page of a proxy, or a login page
        reason = f"HTTP {answer.status_code} without JSON"
        raise Retry(max_tries=50, reason=reason) from None
    if answer.status_code in statuses:
        return told
    raise Reject("ticket_refused", f"HTTP {answer.status_code}: {answer.text[:500]}")


# GLPI, legacy API: a session, a follow-up, a solution.


@contextmanager
def glpi_session() -> Iterator[tuple[requests.Session, str]]:
    """Open a session and close it again."""
    base = os.environ["GLPI_URL"].rstrip("/") + "/apirest.php"
    with requests.Session() as session:
        session.headers["App-Token"] = os.environ["GLPI_APP_TOKEN"]
        login = {"Authorization": f"user_token {os.environ['GLPI_USER_TOKEN']}"}
        opened = demand(call(session, "GET", f"{base}/initSession", headers=login), 200)
        session.headers["Session-Token"] = opened["session_token"]
        try:
            yield session, base
        finally:
            with suppress(Retry):  # it would end by itself, later
                call(session, "GET", f"{base}/killSession")


@handlers.register("write_back_glpi", Outcome, reference="ticket")
def write_back_glpi(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Add a private follow-up; after a success, solve the ticket."""
    with glpi_session() as (session, base):
        ticket = f"{base}/Ticket/{int(outcome.ticket)}"
        mark = f"ref {run.order_id}"
        if not run.state:
            newest = call(session, "GET", f"{ticket}/ITILFollowup", params=GLPI_NEWEST)
            notes = demand(newest, 200, 206)  # 206: there are more
            if not any(mark in note["content"] for note in notes):
                entry = glpi_entry(outcome, f"{outcome.text}\n{mark}")
                add = call(session, "POST", f"{base}/ITILFollowup", json={"input": entry})
                demand(add, 201)  # 207 means that a part failed
            run.checkpoint(1, 2, "noted", {"noted": True})
        if outcome.state != "success":
            return {"solved": False}
        if demand(call(session, "GET", ticket), 200)["status"] not in (SOLVED, CLOSED):
            entry = glpi_entry(outcome, outcome.text)
            demand(call(session, "POST", f"{base}/ITILSolution", json={"input": entry}), 201)
        return {"solved": True}


def glpi_entry(outcome: Outcome, text: str) -> dict[str, Any]:
    """Return a follow-up or solution; its text is HTML."""
    content = html.escape(text).replace("\n", "<br>")
    number = int(outcome.ticket)
    return {"itemtype": "Ticket", "items_id": number, "content": content, "is_private": 1}


# Jira: a comment, then the transition that leads to a status of the category "done".


@handlers.register("write_back_jira", Outcome, reference="ticket")
def write_back_jira(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Comment on the issue; after a success, close it."""
    with requests.Session() as session:
        session.auth = (os.environ["JIRA_USER"], os.environ["JIRA_TOKEN"])
        key = quote(outcome.ticket, safe="")
        issue = os.environ["JIRA_URL"].rstrip("/") + f"/rest/api/2/issue/{key}"
        mark = f"ref {run.order_id}"
        if not run.state:
            newest = call(session, "GET", f"{issue}/comment", params=JIRA_NEWEST)
            found = demand(newest, 200)["comments"]
            if not any(mark in comment["body"] for comment in found):
                comment = {"body": f"{jira_as_it_is(outcome.text)}\n{mark}"}
                demand(call(session, "POST", f"{issue}/comment", json=comment), 201)
            run.checkpoint(1, 2, "commented", {"noted": True})
        if outcome.state != "success":
            return {"closed": False}
        status = demand(call(session, "GET", f"{issue}?fields=status"), 200)["fields"]["status"]
        if status["statusCategory"]["key"] != "done":
            offered = demand(call(session, "GET", f"{issue}/transitions"), 200)["transitions"]
            chosen = {"transition": {"id": closing(offered)}}
            demand(call(session, "POST", f"{issue}/transitions", json=chosen), 204)
        return {"closed": True}


def jira_as_it_is(text: str) -> str:
    """Return wiki markup that shows a text as it is, also one that would end the macro."""
    inner = re.sub(r"\{(?=noformat)", "{\u200b", text, flags=re.IGNORECASE)  # of no width
    return f"{{noformat}}{inner}{{noformat}}"


def closing(offered: list[dict[str, Any]]) -> str:
    """Return the id of the first transition that leads to the end of the workflow."""
    for one in offered:
        if one["to"]["statusCategory"]["key"] == "done":
            return str(one["id"])
    raise Reject("no_transition", "no transition leads from the present status to a closed one")
