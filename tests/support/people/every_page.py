"""Every page, by the routes that there are, on an installation with something to see.

A route with a value in its path needs a line in `PLACES`; one without needs nothing.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from kernel.callers import identity
from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.db.ids import new_id
from kernel.insight.conditions.notices import rows as notices
from kernel.insight.failures.counting import count_failures
from kernel.insight.trends import rows
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from tests.support.bulk import begun
from tests.support.clients import serve
from tests.support.docs_pictures import fill
from tests.support.factories import make_attempt, make_delivery, make_order
from tests.support.failures import BOOKED, make_failure, make_refusal
from tests.support.ticketing import make_receiver

# Pages of the dashboard without a session, and what answers with something else than a page.
NOT_PAGES = re.compile(r"\.(asset|sign_in|oidc\w*|suggestions|order_json|\w*export\w*)$")
VALUE = re.compile(r"<(?:[^<>]*:)?(\w+)>")
# A value in a path, by its name in the route.
PLACES: dict[str, Callable[["Filled"], str]] = {
    "order_id": lambda filled: filled.order_id,
    "delivery_id": lambda filled: filled.delivery_id,
    "part": lambda _: "arguments",
    "bulk_id": lambda filled: filled.bulk_id,
    "fingerprint": lambda filled: filled.fingerprint,
    "caller": lambda _: "tests",
    "tag": lambda _: "create_project",
    "name": lambda _: "desk",
    "below": lambda _: "nowhere",
}


@dataclass(frozen=True)
class Filled:
    """What there is to look at."""

    order_id: str
    delivery_id: str
    bulk_id: str
    fingerprint: str


def every_page(kernel: Kernel, filled: Filled) -> dict[str, str]:
    """Return the address of each page of the dashboard, by its endpoint."""
    return dict(_pages(kernel, filled))


def _pages(kernel: Kernel, filled: Filled) -> Iterator[tuple[str, str]]:
    for rule in serve(kernel).url_map.iter_rules():
        endpoint = rule.endpoint
        if ".dashboard." not in endpoint or "GET" not in (rule.methods or ()):
            continue
        if NOT_PAGES.search(endpoint):
            continue
        path = VALUE.sub(lambda found: PLACES[found[1]](filled), rule.rule)
        yield endpoint.rpartition(".")[2], path


def fill_pages(kernel: Kernel) -> Filled:
    """Insert an hour of work, and one of each thing that a page shows."""
    with kernel.read_session() as session:
        owner = identity.find(session, "tests").id
    fill(kernel, owner)
    now = kernel.clock.now()
    host = {"origin": "https://desk.example:443", "url": "https://desk.example/api/now/table"}
    make_receiver(kernel, "desk", "https://desk.example/", caller_id=owner)
    late = now - timedelta(minutes=9)
    failed = {"state": "failed", "error_code": "blank_name", "message": "a project needs a name"}
    failed |= {"started_at": late, "finished_at": now, "run": 2, "reference": "INC0012345"}
    order_id = make_order(kernel, caller_id=owner, id=new_id(late), created_at=late, **failed)
    dead = {"state": "dead", "died_of": "gone", "finished_at": now, "caller_id": owner} | host
    delivery_id = make_delivery(kernel, order_id, **dead)
    for minutes, reason in ((8, "connect"), (5, "http_5xx"), (1, "http_4xx")):
        make_attempt(kernel, delivery_id, now - timedelta(minutes=minutes), reason)
    with kernel.write_session() as session:
        process = Heartbeat("worker", late)
        process.note(session, now, [], [f"{host['origin']}#{owner}"])  # type: ignore[list-item]
        people.add_person(session, "Ada Lovelace", Role.OPERATOR, now)
    args = {"projname": "Bridge"}
    changes.add(
        kernel, "nightly", Definition("tests", "0 2 * * *", "Europe/Berlin", "create_project", args)
    )
    for minutes in (200, 90, 60, 59, 3):
        make_failure(kernel, at=now - timedelta(minutes=minutes))
    make_refusal(kernel, "blank_name", at=now - timedelta(minutes=40))
    notices.add(kernel, "night", "chat")
    count_failures(kernel)
    while rows.write(kernel, timedelta(hours=2)):
        pass
    bulk_id = begun(kernel, "rerun", reference="INC0012345")
    return Filled(order_id, delivery_id, bulk_id, BOOKED)
