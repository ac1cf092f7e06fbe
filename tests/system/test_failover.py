"""PostgreSQL's primary is gone and its standby promoted: what was acknowledged is there, once.

The primary waits for the standby with every commit. A switch leads one address to either of them,
as a virtual address does.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.support.demotion import DemotedPostgreSQL
from tests.support.lossy_proxy import LossyProxy
from tests.support.postgresql import PostgreSQL, Standby
from tests.support.servers import Redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until

SUBMITTERS = 3
SOME = 15
# How soon after the promotion submits are served again.
SERVED_WITHIN_SECONDS = 5.0


@dataclass
class Cluster:
    """A primary, its standby, and the address that leads to one of them."""

    primary: PostgreSQL
    standby: Standby
    switch: LossyProxy
    url: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the standby, whether it is promoted or not."""
        return self.standby.execute(statement, database=str(make_url(self.url).database))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        primary = stack.enter_context(closing(PostgreSQL()))
        primary.start()
        url = make_url(primary.create_database())
        standby = stack.enter_context(closing(Standby(primary)))
        standby.follow()
        switch = stack.enter_context(LossyProxy(primary.port))
        led = url.set(port=switch.port).render_as_string(hide_password=False)
        yield Cluster(primary, standby, switch, led)


@dataclass
class Callers:
    """Callers that submit all the time, each order again with its key until it is accepted."""

    stack: Stack
    accepted: dict[str, str] = field(default_factory=dict)
    refused: list[str | None] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Let all of them go."""
        self.threads = [
            threading.Thread(target=self._submit, args=(number,)) for number in range(SUBMITTERS)
        ]
        for one in self.threads:
            one.start()

    def end(self) -> None:
        """Let each of them get its last order accepted."""
        self.ended.set()
        for one in self.threads:
            one.join()

    def wait_for(self, answers: Callable[[], int], what: str) -> None:
        """Wait until some more answers of a kind came."""
        before = answers()
        wait_until(lambda: answers() >= before + SOME, 60, what)

    def _submit(self, number: int) -> None:
        count = 0
        while not self.ended.is_set():
            count += 1
            while (name := f"{number}-{count}") not in self.accepted and not self.odd:
                self._try(name)

    def _try(self, name: str) -> None:
        url = self.stack.receiver.url
        body = {"select_tag": "create_project", "callback_url": url, "projname": name}
        sent = {"Authorization": f"Bearer {self.stack.key}", "Idempotency-Key": name}
        answer = self.stack.post("/v1/orders", body | {"prodesc": "over"}, headers=sent)
        if answer.status_code == 202:
            self.accepted[name] = answer.json()["data"]["order_id"]
        elif answer.status_code == 503:
            self.refused.append(answer.headers.get("Retry-After"))
            time.sleep(0.05)  # a caller that is impatient: it was told seconds
        else:
            self.odd.append(answer.text)


@pytest.mark.parametrize("how", ["killed", "demoted"])
def test_acknowledged_orders_are_there_and_done_once_when_the_standby_is_promoted(
    cluster: Cluster, redis: Redis, tmp_path: Path, how: str
) -> None:
    with Stack(tmp_path, cluster.url, redis, api_processes=2) as stack:
        stack.api()
        stack.worker()
        callers = Callers(stack)
        callers.begin()
        try:
            callers.wait_for(lambda: len(callers.accepted), "orders before")
            fail(cluster, how)
            callers.wait_for(lambda: len(callers.refused), "refusals while no server takes writes")
            refused, promoted = len(callers.refused), time.monotonic()
            cluster.standby.promote()
            accepted = len(callers.accepted)
            wait_until(lambda: len(callers.accepted) > accepted, 30, "an order after")
            served = time.monotonic() - promoted
            callers.wait_for(lambda: len(callers.accepted), "orders after")
        finally:
            callers.end()
        assert callers.odd == []
        assert refused
        assert all(seconds is not None and int(seconds) > 0 for seconds in callers.refused)
        assert served < SERVED_WITHIN_SECONDS
        all_done_once(cluster, callers)


def fail(cluster: Cluster, how: str) -> None:
    """Lose the primary; its address leads to a standby that is not promoted yet."""
    if how == "killed":
        cluster.primary.kill()
    else:
        DemotedPostgreSQL(cluster.primary, cluster.url).read_only(True)
    cluster.switch.lead_to(cluster.standby.port)


def all_done_once(cluster: Cluster, callers: Callers) -> None:
    """Each accepted order stands in the promoted server, has succeeded, and called back."""
    ids = set(callers.accepted.values())
    assert len(ids) == len(callers.accepted)

    def states() -> dict[str, str]:
        return dict(cluster.rows("SELECT id, state FROM kernel_orders"))  # type: ignore[arg-type]

    assert set(states()) == ids, "lost, or stored twice"
    wait_until(lambda: set(states().values()) == {"success"}, 60, "the end of all orders")
    written = Counter(name for (name,) in cluster.rows("SELECT projname FROM project_tb_project"))
    assert written == dict.fromkeys(callers.accepted, 1)

    def called() -> set[str]:
        requests = list(callers.stack.receiver.requests)
        return {json.loads(one.body)["data"]["order_id"] for one in requests}

    wait_until(lambda: called() == ids, 60, "all callbacks")
