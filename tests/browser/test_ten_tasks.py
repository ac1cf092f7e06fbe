"""Tasks of a night, in the browser: each takes no more steps than it may.

A step is an address typed, a link or a button that loads or submits, or a form filled and sent.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from kernel.callers import keys
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.identity import Scope
from kernel.callers.keys import KeyTerms
from kernel.callers.receivers import find
from kernel.db.tables.service import Worker
from kernel.insight.failures.counting import count_failures
from kernel.insight.workers import processes
from kernel.orders.cancel import cancel
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.failures import make_refusal
from tests.support.people.browser import Window, given_up
from tests.support.people.steps import Steps
from tests.support.servers import Redis
from tests.support.stack import PATIENCE, Stack
from tests.support.ticketing import make_receiver
from tests.support.waiting import wait_until
from tests.support.working import HOST, at_work, running

if TYPE_CHECKING:
    from playwright.sync_api import Locator

Open = Callable[..., Window]
# As an operator begins: at the overview.
Task = Callable[[int], "Person"]


class Person:
    """An operator at the overview, for a task of at most so many steps."""

    def __init__(self, visitor: Window, most: int) -> None:
        self.visitor, self.page, self.steps = visitor, visitor.page, Steps(most)

    def go(self, address: str) -> None:
        """Type an address."""
        self.steps.take(address)
        self.page.goto(address)

    def click(self, target: "Locator") -> None:
        """Click what loads or submits; what was filled in before is sent with it."""
        self.steps.take(str(target))
        target.click()

    def open(self, name: str) -> None:
        """Click the page of the header."""
        self.click(self.page.locator("header").get_by_role("link", name=name, exact=True))


@pytest.fixture
def task(operator: Open) -> Task:
    """Begin a task at the overview."""
    return lambda most: Person(operator(), most)


def died(site: Stack, reference: str, minutes: float) -> str:
    """Make a callback that died so long ago at the receiver, which takes it now; return its id."""
    at = site.kernel.clock.now() - timedelta(minutes=minutes)
    ended = {"state": "success", "finished_at": at, "message": "success"}
    order_id = make_order(site.kernel, reference=reference, **ended)
    url = f"{site.receiver.url}/{reference}"
    dead = {"state": "dead", "died_of": "refused", "created_at": at, "finished_at": at}
    origin = f"http://127.0.0.1:{site.receiver.port}"
    return make_delivery(site.kernel, order_id, url=url, origin=origin, **dead)


def test_1_failed_callback_of_a_reference_is_explained_and_sent_again(
    site: Stack, task: Task
) -> None:
    given_up(site, "INC0012345", reference="INC0012345")
    person = task(3)
    page = person.page
    person.go("/dashboard/orders?q=INC0012345")
    person.click(page.get_by_role("rowheader", name="INC0012345").get_by_role("link"))
    sent = page.locator("article.delivery")
    expect(sent.locator("> header .badge")).to_have_text("dead")
    expect(sent.locator(".attempts .badge").first).to_have_text("410")
    person.click(page.get_by_role("button", name="Redeliver"))
    expect(sent.locator("> header .badge")).to_have_text("delivered")


def test_2_dead_callbacks_of_two_hours_are_replayed(site: Stack, task: Task) -> None:
    older = died(site, "night-0", 180)
    recent = [died(site, f"night-{n}", 10 * n) for n in range(1, 4)]
    person = task(4)
    page = person.page
    person.open("Bulk acts")
    person.click(page.get_by_role("button", name=re.compile("^Replay callbacks")))
    page.locator("input[name=since]").fill("2h")
    person.click(page.get_by_role("button", name="Count"))
    expect(page.get_by_role("heading", name="3 match")).to_be_visible()
    page.get_by_label("Reason").fill("INC77: the desk was down")
    person.click(page.get_by_role("button", name="Begin: 3"))
    expect(page.get_by_text("3 done, 0 left as they were")).to_be_visible()
    kernel = site.kernel

    def delivered() -> bool:
        return all(delivery(kernel, one).state == "delivered" for one in recent)

    wait_until(delivered, PATIENCE, "three callbacks delivered")
    assert delivery(kernel, older).state == "dead"


def test_3_forty_orders_that_failed_since_a_time_by_one_error_are_run_again(
    site: Stack, task: Task
) -> None:
    kernel = site.kernel
    now = kernel.clock.now()
    failed = {"state": "failed", "callback_url": ""}
    for at, code in [(now, "ad_gone")] * 40 + [
        (now - timedelta(hours=3), "ad_gone"),
        (now, "other"),
    ]:
        gone = failed | {"error_code": code, "finished_at": at}
        make_refusal(kernel, code, at, make_order(kernel, run=1, **gone))
    count_failures(kernel)
    person = task(5)
    page = person.page
    person.open("Errors")
    row = page.get_by_role("row", name="ad_gone")
    expect(row).to_contain_text("41")
    person.click(row.get_by_role("button", name=re.compile("^Run all again")))
    page.locator("input[name=ended_since]").fill(f"{now - timedelta(hours=1):%H:%M}")
    person.click(page.get_by_role("button", name="Count"))
    expect(page.get_by_role("row", name="ad_gone")).to_contain_text("40")
    page.get_by_label("Reason").fill("CHG42: the directory is back")
    person.visitor.shot("task-rerun-counted")
    person.click(page.get_by_role("button", name="Begin: 40"))
    expect(page.get_by_text("40 done, 0 left as they were")).to_be_visible()


def test_4_leaked_key_is_replaced_and_works_no_more(site: Stack, task: Task) -> None:
    terms = KeyTerms(frozenset({Scope.READ}))
    with site.kernel.write_session() as session:
        made = keys.add(session, "leaky", site.kernel.clock.now(), terms=terms)
    assert made.api_key is not None
    leaked = made.api_key.get_secret_value()
    person = task(4)
    page = person.page
    person.open("Callers")
    row = page.get_by_role("row", name=leaked[:12])
    row.locator("summary", has_text="Rotate").click()
    person.click(row.get_by_role("button", name="Rotate", exact=True))
    new = page.get_by_text("kwo_").first.inner_text()
    asked = [
        site.get("/v1/orders", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (leaked, new)
    ]
    assert asked == [401, 200]


def test_6_tags_and_callers_are_compared_on_one_page(site: Stack, task: Task) -> None:
    late = site.kernel.clock.now() + timedelta(minutes=9)
    for _ in range(30):
        make_order(site.kernel, select_tag="slow", run_after=late)
    person = task(1)
    person.open("Work")
    for kind, name in (("tag", "slow"), ("caller", "anonymous")):
        first = person.page.locator(f"#{kind}-1")
        expect(first.get_by_role("rowheader")).to_have_text(name)
        expect(first.locator("[data-name=Pending]")).to_have_text("30")
    person.visitor.shot("task-growing")


def test_7_hanging_process_is_found_and_ended(site: Stack, task: Task) -> None:
    kernel = site.kernel
    order_id = make_order(kernel, select_tag="slow", state="running")
    slow, there = running(kernel, order_id, 55, "slow"), "node-7.example"
    # Of an hour from now: nothing beats here, and it is not to be silent.
    process = at_work(kernel, slow, host=there, ago=timedelta(hours=-1))
    person = task(2)
    person.open("Work")
    row = person.page.locator("section[aria-labelledby=hanging] tbody tr")
    expect(row).to_contain_text("close to its time limit")
    row.locator("summary", has_text="Terminate").click()
    row.get_by_label("Reason").fill("INC77: hangs for an hour")
    person.visitor.shot("task-hanging")
    person.click(row.get_by_role("button", name="Terminate", exact=True))
    expect(person.page.get_by_text("The process is to end")).to_be_visible()
    with kernel.read_session() as session:
        assert session.get_one(Worker, process.id).asked == "terminate"


def test_9_host_of_workers_is_drained_and_takes_nothing(site: Stack, task: Task) -> None:
    kernel = site.kernel

    def quiet() -> set[bool]:
        return {one.quiet for one in processes(kernel) if one.alive and one.host == HOST}

    person = task(2)
    person.open("Work")
    host = person.page.get_by_role("article", name=HOST, exact=True)
    host.locator("> .head summary", has_text="Drain").click()
    host.get_by_label("Reason").first.fill("CHG42: new kernel")
    person.click(host.get_by_role("button", name="Drain", exact=True))
    try:
        wait_until(lambda: quiet() == {True}, PATIENCE, "quiet processes")
        order_id = site.submit("create_project", projname="later")
        expect(host.get_by_text("CHG42: new kernel")).to_be_visible()
        person.visitor.shot("task-drained-host")
        assert site.show(order_id)["state"] == "pending"
    finally:
        host.get_by_role("button", name="Resume").click()
    assert site.finished(order_id)["state"] == "success"


def test_9_receiver_is_drained_from_the_first_screen(site: Stack, task: Task) -> None:
    site.callback(site.submit("create_project", projname="before"))
    person = task(2)
    row = person.page.locator("table.hosts tr", has_text=str(site.receiver.port))
    person.click(row.get_by_role("button", name="Pause"))
    order_id = site.submit("create_project", projname="held")

    def held() -> bool:
        return [one["state"] for one in site.show(order_id)["deliveries"]] == ["held"]

    wait_until(held, PATIENCE, "a held callback")
    person.visitor.shot("task-drained")
    row.get_by_role("button", name="Resume").click()
    site.callback(order_id)


def test_8_what_was_sent_and_who_cancelled_is_read_and_exported(site: Stack, task: Task) -> None:
    order_id = given_up(site, "INC8", reference="INC8")
    cancelled = make_order(site.kernel, reference="INC8-2")
    cancel(site.kernel, None, cancelled, by=By(Actor("vera", "cli"), "CHG42"))
    person = task(4)
    page = person.page
    person.go(f"/dashboard/orders/{cancelled}")
    expect(page.locator("#work")).to_contain_text("by vera: CHG42")
    person.go("/dashboard/orders?q=INC8")
    person.click(page.get_by_role("rowheader", name="INC8", exact=True).get_by_role("link"))
    attempt = page.locator("#attempt-1")
    attempt.locator("summary").click()
    expect(attempt).to_contain_text("webhook-timestamp")
    page.locator("article.delivery > details > summary").click()
    expect(page.locator("article.delivery > details pre")).to_contain_text(order_id)
    with page.expect_download() as waiting:
        person.click(page.get_by_role("link", name="JSON"))
    told = json.loads(Path(waiting.value.path()).read_text())
    (sent,) = told["deliveries"][0]["attempts"]
    assert (sent["status"], sent["sent"]["method"]) == (410, "POST")
    assert json.loads(sent["sent"]["body"])["data"]["order_id"] == order_id


def test_10_one_receiver_gives_up_at_another_time(site: Stack, task: Task) -> None:
    for name in ("jira", "glpi"):
        make_receiver(site.kernel, name, f"https://{name}.example/")
    person = task(3)
    page = person.page
    person.open("Receivers")
    person.click(page.get_by_role("link", name="jira"))
    page.locator("input[name=give_up]").fill("2d")
    page.get_by_label("Reason").last.fill("CHG42")
    person.click(page.get_by_role("button", name="Set"))
    expect(page.get_by_text("The give-up is set.")).to_be_visible()
    with site.kernel.read_session() as session:
        found = [find(session, "anonymous", name).terms.give_up for name in ("jira", "glpi")]
    assert found == [2 * 86400, None]
    person.visitor.shot("task-give-up")


def test_5_redis_that_is_gone_is_on_the_first_screen(task: Task, redis: Redis) -> None:
    person = task(0)
    redis.stop()
    try:
        said = person.page.locator("[data-condition=broker_gone]")
        expect(said).to_contain_text("The broker does not answer")
        expect(said).to_contain_text("docs/operations.md#redis-or-rabbitmq-is-gone")
        person.visitor.shot("task-redis-gone")
    finally:
        redis.start()
